"""Pictures, as far as it can be asserted how they look: colours, sizes, axes, and that nothing lies over another."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from looks import check_figure, rendered
from matplotlib.colors import to_rgb

from pyro_vae import plots, run_pictures, train
from pyro_vae.compare.pictures import findings_picture
from pyro_vae.compare.statistics import Interval
from pyro_vae.data import Binarizer, load_data
from pyro_vae.estimators import Estimate
from pyro_vae.evaluate.pictures import against_picture
from pyro_vae.metrics.calibration import calibration_picture
from pyro_vae.metrics.gap import gap_picture
from pyro_vae.metrics.importance import k_hat_picture
from pyro_vae.metrics.units import units_picture

WHITE, BLACK = np.ones(3), np.zeros(3)
# Machado, Oliveira & Fernandes 2009, severity 1: linear RGB as the colour-blind see it.
SIGHT = {
    "all": np.eye(3),
    "protanopes": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopes": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopes": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def linear(colours: np.ndarray) -> np.ndarray:
    return np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)


def oklab(rgb: np.ndarray) -> np.ndarray:
    """Linear RGB ``(N, 3)`` in the space of Ottosson 2020, where distances are those that are seen."""
    cones = [[0.412221, 0.536333, 0.051446], [0.211903, 0.680700, 0.107397], [0.088302, 0.281719, 0.629979]]
    lab = [[0.210454, 0.793618, -0.004072], [1.977998, -2.428592, 0.450594], [0.025904, 0.782772, -0.808676]]
    return np.cbrt(np.clip(rgb, 0, 1) @ np.transpose(cones)) @ np.transpose(lab)


def test_colours_stand_out_on_white_and_from_each_other():
    rgb = linear(np.array([to_rgb(colour) for colour in plots.COLOURS]))
    luminance = rgb @ [0.2126, 0.7152, 0.0722]
    assert (1.05 / (luminance + 0.05)).min() >= 3  # WCAG 2.1, 1.4.11
    for who, matrix in SIGHT.items():
        seen = oklab(rgb @ np.transpose(matrix))
        distances = np.linalg.norm(seen[:, None] - seen, axis=-1) + np.eye(len(seen))
        assert distances.min() >= (0.14 if who == "all" else 0.095), who
    assert len(plots.COLOURS) == len(set(plots.COLOURS)) == len(plots.MARKERS) == len(set(plots.MARKERS))


def digits(count: int, size: int = 8, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1, (count, channels, size, size))


@pytest.mark.parametrize(("size", "side", "channels"), [(8, 10, 1), (28, 20, 1), (16, 5, 3)])
def test_a_square_of_images_has_no_blank_strip_and_thin_lines(size, side, channels):
    figure = plots.image_square(digits(side**2, size, channels), "E[x|z] at z drawn from the prior p(z)")
    check_figure(figure)
    (axes,) = figure.axes
    assert axes.images[0].get_array().shape[:2] == (side * size, side * size)  # no pixel of a line among them
    across = axes.get_window_extent().width / side
    assert all(0.02 < line.get_linewidth() * 110 / 72 / across < 0.06 for line in axes.lines)
    assert len(axes.lines) == 2 * (side - 1)


def test_a_manifold_names_both_axes():
    figure = plots.manifold(digits(225), np.linspace(-2, 2, 15))
    check_figure(figure)
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["-2.0", "-0.9", "0.0", "0.9", "2.0"]
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["2.0", "0.9", "0.0", "-0.9", "-2.0"]


Y = [f"y = {i}" for i in range(10)]
DRAWS = ["what is seen", *(f"{of}, {i}" for of in ("the digit", "q(z|x)", "weighted", "p(z|x)") for i in range(4))]


@pytest.mark.parametrize("names", [["a"], ["test image", "reconstruction"], Y, ["test image", *Y], DRAWS[:14]])
def test_a_grid_of_images_names_each_row_beside_it(names):
    figure = plots.image_grid({name: digits(12) for name in names}, "Test images and what becomes of them, E[x|z]")
    check_figure(figure)
    assert figure.axes[0].get_yticks().tolist() == [8 * i + 3.5 for i in range(len(names))]


@pytest.fixture(scope="module")
def short_run(tmp_path_factory):
    return train(data="digits", epochs=2, out=tmp_path_factory.mktemp("run") / "a", quiet=True, engine="eager")


@pytest.fixture
def figures(short_run):
    with torch.no_grad():
        return run_pictures.figures_of(short_run.model, short_run.guide, load_data("digits"), Binarizer(True))


def test_every_picture_of_a_run_can_be_read(figures):
    assert set(figures) == {"reconstructions", "prior_samples", "interpolation", "latent"}
    for figure in figures.values():
        check_figure(figure)


def test_an_interpolation_shows_its_ends_and_is_not_labelled_like_classes(figures):
    (axes,) = figures["interpolation"].axes
    assert [t.get_text() for t in axes.get_yticklabels()] == ["pair A", "pair B", "pair C", "pair D"]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["$x_1$", "$z_1$", "$z_2$", "$x_2$"]
    shown = axes.images[0].get_array()
    (given,) = (figures["reconstructions"].axes[0].images[0].get_array(),)
    row = [text.get_text() for text in figures["reconstructions"].axes[0].get_yticklabels()].index("test image")
    for image, corner in ((0, shown[:8, :8]), (1, shown[:8, -8:])):  # the test images of the first pair
        np.testing.assert_array_equal(corner, given[8 * row : 8 * row + 8, 8 * image : 8 * image + 8])


def test_a_scatter_of_many_dimensions_says_how_little_it_shows(figures):
    (axes,) = figures["latent"].axes
    assert "of the variance is shown" in axes.get_title()
    sizes = [collection.get_sizes()[0] for collection in axes.collections]
    assert len(sizes) == 10
    assert min(sizes) >= 18  # 3 pixels of the 390 of a telephone


@pytest.mark.parametrize("classes", [None, 2, 10, 30])
def test_a_latent_scatter_can_be_read(classes):
    rng = np.random.default_rng(0)
    labels = None if classes is None else rng.integers(0, classes, 500)
    figure = plots.latent_scatter(rng.normal(size=(500, 2)), labels, ("$z_1$", "$z_2$"), "One draw of z ~ q(z|x)")
    check_figure(figure)
    if classes in (2, 10):
        assert [t.get_text() for t in figure.axes[0].get_legend().get_texts()] == [str(i) for i in range(classes)]


@pytest.mark.parametrize("activity", [[0.9, 0.8, 0.001], [0.5], [3.0, 2.0], [1e-4, 1e-9], np.geomspace(1e-4, 1, 200)])
def test_active_units_are_bars_of_different_heights(activity):
    figure = units_picture(np.array(activity), 0.01)
    check_figure(figure)
    (axes,) = figure.axes
    assert axes.get_yscale() == "log"
    low, high = axes.get_ylim()
    heights = [bar.get_height() for bar in axes.patches]
    assert 0 < low < min(heights) <= max(heights) < high
    assert low < 0.01 < high
    assert high / low < 1e8
    tops = [bar.get_window_extent().y1 for bar in axes.patches]
    assert tops == sorted(tops, reverse=True)
    assert len(set(np.round(tops))) == len(set(np.round(np.log10(heights), 2))) or len(heights) > 50
    grey = [bar.get_facecolor()[0] == bar.get_facecolor()[1] for bar in axes.patches]
    assert grey == [value <= 0.01 for value in sorted(activity, reverse=True)]


def test_the_legend_of_k_hat_lies_beside_the_bars_and_has_the_limit_of_the_table():
    k_hat = np.random.default_rng(0).normal(0.9, 0.3, 500)
    figure = k_hat_picture(k_hat, 0.57)
    check_figure(figure)
    assert f"up to 0.57; {(k_hat > 0.57).mean():.0%} of images above" in figure.legends[0].get_texts()[0].get_text()


def estimate(value: float) -> Estimate:
    return Estimate(value, 0.2, "a", 10, 100)


def test_the_other_pictures_of_an_evaluation_can_be_read():
    rng = np.random.default_rng(0)
    for dimensions in (1, 3, 30):
        check_figure(calibration_picture(rng.integers(0, 100, (300, dimensions)), 99))
    parts = {"approximation_gap": estimate(1.0), "amortization_gap": estimate(2.0)}
    for count in (1, 2):
        check_figure(gap_picture(dict(list({"test": parts, "train": parts}.items())[:count])))
    scores = {"digits, test": rng.normal(size=300), "against negatives": rng.normal(3, 1, 300)}
    check_figure(against_picture({"ELBO": scores, "log p(x), by IWAE": scores}))


@pytest.mark.parametrize("arms", [2, 6, 20])
def test_the_findings_say_of_what_and_have_a_colour_for_each_meaning(arms):
    def interval(value: float, of: type = Interval) -> Interval:
        return of(value, value - 0.5, value + 0.5, 0.95, 3, 250, None, 0.1)

    gap = {"inference_gap": 3.0, "approximation_gap": 1.0, "amortization_gap": 2.0}
    reports = {
        f"Guide{i}": SimpleNamespace(
            name=f"Guide{i}",
            figures={name: interval(value) for name, value in gap.items()},
            differences={"elbo": interval(0.3 * i), "iwae": interval(0.2 * i)} if i else {},
        )
        for i in range(arms)
    }
    trials = [SimpleNamespace(seed=seed) for seed in range(3)]
    figure = findings_picture(SimpleNamespace(reports=reports, trials=trials, baseline="Guide0", confidence=0.95))
    check_figure(figure)
    left, right = figure.axes
    assert left.get_title() == "Is it better than Guide0? 95% intervals, 3 seeds"
    bars = {tuple(bar.get_facecolor()[:3]) for bar in right.patches}
    points = {to_rgb(line.get_color()) for line in left.lines if line.get_marker() in ("o", "s")}
    assert len(bars) == len(points) == 2
    assert not bars & points


def course(last: float, epochs: int = 40) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    x = np.arange(1, epochs + 1.0)
    climb = last - 90 * np.exp(-x / 4)
    return {"test": (x, climb), "train": (x, climb + 3)}


@pytest.mark.parametrize("count", [1, 2, 3, 30])
def test_traces_show_the_last_epochs_where_runs_differ(count):
    runs = {f"digits-{'IAF' * (i % 5 + 1)}-{i}": course(30 + 0.5 * i) for i in range(count)}
    best = {run: (38.0, splits["test"][1][37]) for run, splits in runs.items()}
    panels = {"ELBO": runs, "log-likelihood, $E_q[\\log p(x|z)]$": runs, "KL": runs}
    figure = plots.traces(panels, "epochs", best)
    check_figure(figure)
    _, late, *_ = figure.axes
    assert late.get_title() == "ELBO: the last quarter"
    left, right = late.get_xlim()
    assert (round(left, 2), right) == (30.25, 40)
    low, high = late.get_ylim()
    assert high - low < 0.6 * count + 0.2  # nats, where the whole course has ninety
    assert high - low < 0.9 * np.subtract(*figure.axes[0].get_ylim()[::-1])
    apart = [line.get_window_extent().y1 for line in late.lines if line.get_linestyle() == "-"][:count]
    assert count == 1 or min(np.diff(sorted(apart))) > 3
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[:2] == ["test", "train"]
    expected = [f"{run}: at its best epoch {best[run][1]:.2f}, last {s['test'][1][-1]:.2f}" for run, s in runs.items()]
    assert names[2 : 2 + min(count, 20)] == expected[:20]
    marks = [line for line in late.lines if line.get_marker() == "o"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in marks] == list(best.values())


def test_short_traces_have_no_last_quarter_and_text_is_large_enough_for_a_telephone():
    figure = plots.traces({"ELBO": {"a": course(1.0, 3)}, "KL": {"a": course(1.0, 3)}}, "epochs")
    assert len(figure.axes) == 2
    figure = plots.traces({"ELBO": {"a": course(1.0)}}, "epochs", {"a": (1.0, 0.0)})
    shrunk = 390 / rendered(figure).shape[1]
    texts = [*figure.legends[0].get_texts(), *figure.axes[0].get_xticklabels(), figure.axes[0].yaxis.label]
    assert min(text.get_fontsize() * 110 / 72 * shrunk for text in texts) >= 9  # pixels
    check_figure(plots.traces({"ELBO": {}}, "epochs"))
