"""Array files: which axis holds the channels, what a number means, and what labels stand for."""

import os

import numpy as np
import psutil
import pytest
import torch

import pyro_vae
from pyro_vae import plots, svi
from pyro_vae.data import load_data
from pyro_vae.data.labels import numbered
from pyro_vae.data.layout import channels_of
from pyro_vae.errors import InputError

RNG = np.random.default_rng(0)
FIRST, LAST = "channels_first", "channels_last"


def everything(data) -> np.ndarray:
    """All the images of a data set, in the order of the file."""
    splits = [data.train, data.validation, data.test]
    rows = np.concatenate([split.rows for split in splits])
    return torch.cat([split.batch(slice(0, len(split))) for split in splits]).numpy()[np.argsort(rows)]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 28, 28), FIRST),
        ((28, 28, 1), LAST),
        ((3, 32, 32), FIRST),
        ((32, 32, 3), LAST),
        ((4, 6, 5), FIRST),
        ((6, 5, 4), LAST),
        ((2, 5, 7), FIRST),
        ((7, 5, 2), LAST),
        ((1, 1, 64), FIRST),
        ((1, 1, 1), FIRST),
        # read as channels last, channels first, and feature maps of either kind
        ((12, 10, 6), "auto"),
        ((6, 12, 10), "auto"),
        ((3, 6, 3), "auto"),
        ((1, 28, 3), "auto"),
        ((64, 4, 4), "auto"),
        ((4, 4, 64), "auto"),
        ((64, 2, 2), "auto"),
        ((64, 7, 7), "auto"),
        ((2, 9, 2), "auto"),
    ],
)
def test_the_shape_tells_where_the_channels_are_or_says_that_it_does_not(shape, expected):
    assert channels_of(shape) == expected


@pytest.mark.parametrize("shape", [(40, 12, 10, 6), (40, 3, 6, 3), (40, 64, 4, 4)])
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_a_layout_that_could_be_read_two_ways_needs_the_option(tmp_path, shape, suffix):
    array = RNG.integers(0, 256, shape, dtype=np.uint8)
    path = str(tmp_path / f"a.{suffix}")
    np.save(path, array) if suffix == "npy" else np.savez(path, x=array)
    with pytest.raises(InputError, match="--layout channels_first or --layout channels_last"):
        load_data(path)
    np.testing.assert_array_equal(everything(load_data(path, layout=FIRST)), array / np.float32(255))
    last = np.moveaxis(array, -1, 1) / np.float32(255)
    np.testing.assert_array_equal(everything(load_data(path, layout=LAST)), last)


def test_the_option_goes_before_what_the_shape_tells_and_into_the_run(tmp_path, train):
    array = RNG.integers(0, 256, (40, 5, 6, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", array)
    assert load_data(str(tmp_path / "a.npy")).image_shape == (3, 5, 6)
    folder = train("run", "--data", str(tmp_path / "a.npy"), "--layout", FIRST, "--batch-size", "8", "--epochs", "1")
    assert "layout: channels_first" in folder.config_text()
    assert pyro_vae.load(folder.path).model.image_shape == (5, 6, 3)
    for name in ("digits", str(tmp_path)):
        with pytest.raises(InputError, match=r"--layout says .* is no such file"):
            load_data(name, layout=FIRST)


@pytest.mark.parametrize("shape", [(40, 20), (40, 5, 6)])
def test_a_layout_is_refused_where_no_axis_holds_channels(shape, tmp_path):
    np.save(tmp_path / "a.npy", RNG.integers(0, 256, shape, dtype=np.uint8))
    with pytest.raises(InputError, match=r"no axis holds channels: leave out --layout"):
        load_data(str(tmp_path / "a.npy"), layout=FIRST)
    with pytest.raises(InputError, match=r"no axis holds channels: leave out"):
        pyro_vae.train(data=RNG.random(shape), layout=FIRST, out=tmp_path / "run")


@pytest.mark.parametrize("order", ["C", "F"])
def test_whole_numbers_of_16_bits_are_read_right(tmp_path, order, train):
    array = np.asarray(RNG.integers(0, 65536, (40, 4, 5), dtype=np.uint16), order=order)
    np.save(tmp_path / "a.npy", array)
    data = load_data(str(tmp_path / "a.npy"))
    expected = array.astype(np.float32)[:, None] / np.float32(65535)
    np.testing.assert_array_equal(everything(data), expected)
    inside = data.train.on(torch.device("cpu"))  # as training sees it
    np.testing.assert_array_equal(inside.batch(torch.arange(5)).numpy(), expected[data.train.rows[:5]])
    train("run", "--data", str(tmp_path / "a.npy"), "--batch-size", "8", "--epochs", "1")
    np.save(tmp_path / "a.npy", array >> 8)
    with pytest.raises(InputError, match="at most 255: store them as uint8"):
        load_data(str(tmp_path / "a.npy"))


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint32", ">u2", ">f4", "longdouble", "complex64", "U3", "M8[s]"])
def test_arrays_of_other_types_are_refused_by_name(tmp_path, dtype):
    np.save(tmp_path / "a.npy", np.zeros((40, 4, 5), dtype))
    with pytest.raises(InputError, match="images are uint8, uint16, bool"):
        load_data(str(tmp_path / "a.npy"))


def test_records_and_splits_of_different_types_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((40, 4, 5), [("red", "u1"), ("green", "u1")]))
    with pytest.raises(InputError, match="images are uint8, uint16, bool"):
        load_data(str(tmp_path / "a.npy"))
    np.savez(tmp_path / "a.npz", x_train=np.zeros((40, 4, 5)), x_test=np.zeros((9, 4, 5), np.uint8))
    with pytest.raises(InputError, match="different shapes or types"):
        load_data(str(tmp_path / "a.npz"))


@pytest.mark.parametrize(
    "dtype_and_values",
    [
        (np.int64, [1, 2, 3]),
        (np.int64, [0, 1000]),
        (np.uint8, [0, 5, 255]),
        (np.uint64, [3, 2**63 + 1]),
        (bool, [False, True]),
        ("U5", ["cat", "zebra"]),
    ],
)
def test_labels_are_numbered_and_the_data_keep_what_they_stand_for(tmp_path, dtype_and_values):
    dtype, values = dtype_and_values
    y = np.array(values, dtype)[RNG.integers(0, len(values), 60)]
    np.savez(tmp_path / "a.npz", x=RNG.random((60, 4, 4)), y=y)
    data = load_data(str(tmp_path / "a.npz"))
    names = tuple(str(int(v)) if not isinstance(v, str) else v for v in values)
    assert data.classes == names
    assert data.num_classes == len(values)
    for split in (data.train, data.validation, data.test):
        assert [names[number] for number in split.labels] == [
            v if isinstance(v, str) else str(int(v)) for v in y[split.rows].tolist()
        ]


def test_splits_share_the_numbers_of_their_labels_and_unknown_ones_stay_unknown(tmp_path):
    x = RNG.random((30, 4, 4))
    np.savez(
        tmp_path / "a.npz",
        x_train=x,
        y_train=np.where(np.arange(30) % 3, 7, -1),
        x_test=x[:4],
        y_test=np.array([3, 7, 9, 3], np.uint8),
    )
    data = load_data(str(tmp_path / "a.npz"))
    assert data.classes == ("3", "7", "9")
    assert data.test.labels.tolist() == [0, 1, 2, 0]
    assert set(data.train.labels.tolist()) == {-1, 1}


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.zeros(40), "labels float64; needed is a whole number or a text"),
        (np.eye(40, 3, dtype=int), r"labels of shape \(40, 3\) for 40 images"),
        (np.zeros(39, int), r"labels of shape \(39,\) for 40 images"),
        (np.full(40, -2), "holds the label -2; below 0 there is only -1"),
    ],
)
def test_labels_that_are_none_are_refused(tmp_path, y, words):
    np.savez(tmp_path / "a.npz", x=np.zeros((40, 4, 4)), y=y)
    with pytest.raises(InputError, match=words):
        load_data(str(tmp_path / "a.npz"))
    with pytest.raises(InputError, match="text in one split and numbers in another"):
        numbered([np.array(["a"]), np.array([1])], "x")


def labelled(path, values) -> str:
    y = np.array(values)[np.arange(60) % len(values)]
    x = np.clip(0.2 + 0.2 * (np.arange(60) % len(values))[:, None, None] + 0.05 * RNG.normal(size=(60, 4, 4)), 0, 1)
    np.savez(path, x=x, y=y)
    return str(path)


def test_a_model_of_labels_has_a_class_for_each_label_that_occurs_and_the_run_keeps_them(tmp_path, train):
    flags = ["--model", "M2", "--objective", "TraceEnum_ELBO", "--batch-size", "10", "--epochs", "1"]
    folder = train("holes", "--data", labelled(tmp_path / "a.npz", [1, 5, 1000]), *flags)
    run = pyro_vae.load(folder.path)
    assert run.model.num_classes == 3
    assert run.classes == ("1", "5", "1000")
    # The same images with labels 0, 1, 2 make the same run, number by number.
    with np.load(tmp_path / "a.npz") as archive:
        x = archive["x"]
    np.savez(tmp_path / "b.npz", x=x, y=np.arange(60) % 3)
    plain = train("plain", "--data", str(tmp_path / "b.npz"), *flags)
    assert [row[:6] for row in folder.read_trace()] == [row[:6] for row in plain.read_trace()]
    # Labels that stand for something else now are found when the run goes on.
    np.savez(tmp_path / "a.npz", x=x, y=np.array([2, 5, 1000])[np.arange(60) % 3])
    with pytest.raises(InputError, match=r"trained on the classes 1, 5, 1000, and .* now has 2, 5, 1000"):
        svi.main(["--resume", str(folder.path), "--epochs", "2"])


@pytest.mark.pictures
def test_pictures_are_of_the_labels_that_occur(tmp_path, train, monkeypatch):
    drawn: list[tuple[str, list[str]]] = []
    monkeypatch.setattr("pyro_vae.plots.image_grid", _remember(drawn, plots.image_grid))
    scattered = []
    scatter = plots.latent_scatter
    monkeypatch.setattr(
        "pyro_vae.plots.latent_scatter", lambda p, y, *rest: scattered.append(y) or scatter(p, y, *rest)
    )
    data = labelled(tmp_path / "a.npz", [3, 70])
    train("run", "--data", data, "--model", "ConditionalVAE", "--batch-size", "10", "--epochs", "1")
    assert ["y = 3", "y = 70"] in [rows for _, rows in drawn]
    assert set(scattered[-1].tolist()) == {3, 70}


def _remember(drawn, draw):
    return lambda rows, title: drawn.append((title, list(rows))) or draw(rows, title)


@pytest.mark.parametrize("absent", [True, False])
def test_an_array_file_trains_where_the_system_has_no_count_of_its_free_pages(tmp_path, monkeypatch, absent, train):
    """As on Windows, which has no os.sysconf, and macOS, whose sysconf knows no SC_AVPHYS_PAGES."""

    def sysconf(name):
        raise ValueError("unrecognized configuration name")

    # psutil counts by its own means on those systems; on Linux it may ask sysconf, which here it must not need.
    available = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: available)
    if absent:
        monkeypatch.delattr(os, "sysconf")
    else:
        monkeypatch.setattr(os, "sysconf", sysconf)
    np.save(tmp_path / "a.npy", RNG.random((40, 4, 4)))
    folder = train("run", "--data", str(tmp_path / "a.npy"), "--epochs", "1", "--batch-size", "8")
    assert folder.checkpoint("last").exists()


@pytest.mark.pictures
@pytest.mark.parametrize("latent_dim", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_test_images_are_drawn(tmp_path, train, count, latent_dim):
    path = tmp_path / "a.npz"
    np.savez(path, x_train=RNG.random((60, 4, 4)), x_test=RNG.random((count, 4, 4)))
    flags = ("--data", str(path), "--latent-dim", str(latent_dim), "--batch-size", "20", "--epochs", "1")
    folder = train("run", *flags)
    assert folder.read_metrics()["finished"]
    assert (folder.figures / "latent.png").exists()
    assert (folder.figures / "interpolation.png").exists() == (count > 1)


@pytest.mark.parametrize("shape", [(784, 1), (400, 2), (200, 4), (28, 28), (8, 200)])
def test_a_grid_of_images_is_no_taller_than_a_page(shape):
    images = RNG.random((12, 1, *shape))
    rows = {"test image": images, "reconstruction": images, "gray image": images}
    width, height = plots.image_grid(rows, "Images").get_size_inches()
    assert height < 13.5
    assert width < 13.5
    # Many classes have a row each, and still an end.
    assert plots.image_grid({f"y = {i}": images for i in range(400)}, "Images").get_figheight() < 52
