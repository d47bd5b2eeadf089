"""Pictures of the calibration tests, of the predictive checks and of q beside the true posterior can be read."""

import numpy as np
import pytest
import torch
from looks import check_figure

from pyro_vae.estimators import Estimate, PredictiveCheck
from pyro_vae.estimators.uniformity import rank_test
from pyro_vae.posterior_pictures import over_images_picture, pairs_picture
from pyro_vae.rank_pictures import calibration_tests_picture, predictive_picture, rank_picture

L = 19


def uniform(columns, seed=0):
    ranks = torch.randint(0, L + 1, (200, columns), generator=torch.Generator().manual_seed(seed))
    return rank_test([f"z_{d + 1}" for d in range(columns)], ranks, L)


def heaped(columns):
    """Ranks that are all in the lower half."""
    return rank_test([f"z_{d + 1}" for d in range(columns)], uniform(columns).ranks // 2, L)


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_curves_that_leave_the_band_are_named_and_counted():
    figure = rank_picture({"good is within the band": uniform(3)}, "Ranks")
    check_figure(figure)
    assert "3 of 3 inside" in labels(figure.axes[0])
    figure = rank_picture({"good is within the band": heaped(6)}, "Ranks")
    check_figure(figure)
    assert sum("outside" in label for label in labels(figure.axes[0])) == 4
    assert not any("inside" in label for label in labels(figure.axes[0]))


@pytest.mark.parametrize("columns", [1, 5, 30])
def test_the_four_calibration_tests_are_in_one_picture(columns):
    test = uniform(columns)
    one = rank_test(["density"], uniform(1).ranks, L)
    figure = calibration_tests_picture(test, one, heaped(columns), one)
    check_figure(figure)
    titles = [axes.get_title() for axes in figure.axes]
    assert len(titles) == 4
    assert all("good is" in title.replace("\n", " ") for title in titles)
    without = calibration_tests_picture(test, None, test, one)  # a guide that scores its own samples only
    check_figure(without)
    assert sum("overconfident" in axes.get_title() for axes in without.axes) == 0


def test_the_bars_of_the_predictive_checks_are_the_shares():
    test = uniform(3)
    shares = [tuple(Estimate(value, 0.01, "a", L, 200) for value in row) for row in ((0.3, 0.1, 0.2), (0.0, 0.05, 0.1))]
    figure = predictive_picture(PredictiveCheck(test, shares[0]), PredictiveCheck(test, shares[1]))
    check_figure(figure)
    assert [bar.get_width() for bar in figure.axes[1].patches] == [0.3, 0.1, 0.2, 0.0, 0.05, 0.1]


@pytest.mark.parametrize(("images", "guides"), [(1, 1), (6, 3)])
def test_each_image_has_its_plane_and_each_guide_its_lines(images, guides):
    rng = np.random.default_rng(0)
    true = rng.normal(size=(300, images, 2))
    named = {f"Guide{k}": rng.normal(size=(300, images, 2)) / (k + 1) for k in range(guides)}
    figure = pairs_picture(true, named, [f"image {i}" for i in range(images)], [("$z_1$", "$z_4$")] * images)
    check_figure(figure)
    assert {axes.get_title() for axes in figure.axes if axes.get_title()} == {f"image {i}" for i in range(images)}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["true posterior p(z|x)", *named]


def test_a_point_and_a_line_can_be_drawn_too():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(300, 1, 2))
    check_figure(pairs_picture(true, {"Delta": np.zeros((300, 1, 2))}, ["image"], [("$z_1$", "$z_2$")]))


def test_every_image_has_a_mark():
    rng = np.random.default_rng(0)
    values = rng.exponential(size=40)
    figure = over_images_picture(values, -values / 100, {0.5: rng.random(40), 0.9: rng.random(40)})
    check_figure(figure)
    assert len(figure.axes[0].collections[0].get_offsets()) == 40
    assert [len(line.get_xdata()) for line in figure.axes[1].lines if line.get_marker() != "None"] == [40, 40]
