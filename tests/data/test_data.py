"""Splits that never change, arrays of every layout, and the draws that binary likelihoods see."""

import hashlib
import urllib.error

import numpy as np
import pytest
import torch

from pyro_vae.data import Binarizer, Images, binarize, load_data
from pyro_vae.errors import InputError


def digest(part: Images) -> str:
    whole = np.concatenate([chunk.numpy() for chunk in part.chunks(100)])
    return hashlib.sha256(whole.tobytes()).hexdigest()[:12]


def test_the_splits_of_the_digits_are_fixed():
    data = load_data("digits")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [1297, 250, 250]
    # The digests change only if the split or the pixels do, and with them every published number.
    assert [digest(part) for part in (data.train, data.validation, data.test)] == DIGITS
    assert data.train.labels is not None
    assert len(data.train.labels) == 1297


DIGITS = ["e28ede27860f", "52cb96b098fc", "0c157c1c7797"]


def test_mnist_keeps_its_own_test_images_and_the_last_training_images_for_validation(mnist_root):
    data = load_data("mnist", mnist_root)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [55_000, 5_000, 10_000]
    assert data.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    whole = load_data("mnist", str(mnist_root), validation=0)
    assert len(whole.train) == 60_000
    torch.testing.assert_close(whole.train.batch(slice(55_000, 55_010)), data.validation.batch(slice(0, 10)))
    # The mean binary entropy of the gray test images, in nats (45.53), which no ELBO on dynamic data can pass.
    x = torch.cat(list(data.test.chunks(1000))).double().clamp(1e-12, 1 - 1e-12)
    entropy = -(x * x.log() + (1 - x) * (1 - x).log()).flatten(1).sum(1).mean().item()
    assert entropy == pytest.approx(45.53, abs=0.005)


def test_frey_faces_are_upright_images_of_28_by_20(mnist_root):
    data = load_data("frey_faces", mnist_root)
    assert data.image_shape == (1, 28, 20)
    assert len(data.train) + len(data.validation) + len(data.test) == 1965
    # Neighbours resemble each other along both axes only where rows and columns are read in the right order.
    x = next(data.train.chunks(200))
    wrong = x.reshape(-1, 1, 20, 28)
    assert (x[..., 1:, :] - x[..., :-1, :]).abs().mean() < 0.6 * (wrong[..., 1:, :] - wrong[..., :-1, :]).abs().mean()
    assert (x[..., 1:] - x[..., :-1]).abs().mean() < 0.08


@pytest.mark.parametrize(
    ("array", "shape", "first"),
    [
        (np.arange(20 * 6, dtype=np.uint8).reshape(20, 2, 3), (1, 2, 3), 1 / 255),
        (np.arange(20 * 30).reshape(20, 3, 2, 5).astype(np.float32) / 600, (3, 2, 5), 1 / 600),
        (np.arange(20 * 90, dtype=np.float64).reshape(20, 6, 5, 3) / 2000, (3, 6, 5), 3 / 2000),
        (np.arange(20 * 6).reshape(20, 2, 3) % 2 == 1, (1, 2, 3), 1.0),
    ],
)
def test_arrays_of_the_usual_layouts_and_types(tmp_path, array, shape, first):
    np.save(tmp_path / "a.npy", array)
    data = load_data(str(tmp_path / "a.npy"))
    assert data.image_shape == shape
    assert (len(data.train), len(data.validation), len(data.test)) == (16, 2, 2)
    assert data.likelihood == ("Bernoulli" if array.dtype == bool else "Gaussian")
    together = torch.cat([next(part.chunks(20)) for part in (data.train, data.validation, data.test)])
    assert together.dtype == torch.float32
    # The first image, wherever it went, still has its second pixel beside its first.
    starts = together[:, 0, 0, 0].sort()
    assert together[starts.indices[0] if array.dtype != bool else 0, 0, 0, 1].item() == pytest.approx(first)


def test_labels_follow_their_images(tmp_path):
    x = np.random.default_rng(0).integers(0, 255, (50, 4, 4), dtype=np.uint8)
    x[:, 0, 0] = np.arange(50)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(50))
    data = load_data(str(tmp_path / "a.npz"))
    for part in (data.train, data.validation, data.test):
        stored = (part.batch(slice(0, len(part)))[:, 0, 0, 0] * 255).round().long()
        assert torch.equal(stored, part.labels)


def test_a_folder_of_colour_pictures_with_a_class_for_each_subfolder(tmp_path):
    from PIL import Image

    for i in range(20):
        folder = tmp_path / ("cat" if i % 2 else "dog")
        folder.mkdir(exist_ok=True)
        Image.new("RGB", (6, 4), (i, 2 * i, 3 * i)).save(folder / f"{i:02}.png")
    data = load_data(str(tmp_path))
    assert data.image_shape == (3, 4, 6)
    red = (data.train.batch(slice(0, 16))[:, 0, 0, 0] * 255).round().long()
    assert torch.equal(red % 2 == 0, data.train.labels == 1)  # "cat" is class 0 and holds the odd numbers


def bad_array(kind: str) -> np.ndarray:
    good = np.random.default_rng(0).random((30, 4, 4))
    return {
        "NaN": np.where(good > 0.99, np.nan, good),
        "every pixel": np.full((30, 4, 4), 7, np.uint8),
        "empty": np.zeros((0, 4, 4)),
        "has shape": np.zeros((2, 30, 4, 4, 1)),
        "holds complex128": good.astype(complex),
        "at least 20": good[:19],
        "store them as bool": (good > 0.5).astype(np.uint8),
        "first or last": np.zeros((30, 4, 4, 3)),
        "of this machine": good.astype(">f4"),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "NaN",
        "every pixel",
        "empty",
        "has shape",
        "holds complex128",
        "at least 20",
        "store them as bool",
        "first or last",
        "of this machine",
    ],
)
def test_arrays_that_are_not_images_are_named(tmp_path, kind):
    np.save(tmp_path / "bad.npy", bad_array(kind))
    with pytest.raises(InputError, match=kind):
        load_data(str(tmp_path / "bad.npy"))


def test_other_files_that_cannot_be_read(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"no array")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="cannot be read as an array"):
        load_data(str(tmp_path / "a.npy"))
    with pytest.raises(InputError, match="no picture"):
        load_data(str(tmp_path / "empty"))
    with pytest.raises(InputError, match="nearest are mnist"):
        load_data("mnits")


def test_without_network_one_line_says_what_was_tried_and_what_needs_none(tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    for name in ("mnist", "frey_faces"):
        with pytest.raises(InputError) as error:
            load_data(name, tmp_path)
        said = str(error.value)
        assert "\n" not in said
        for part in (str(tmp_path), "could not be downloaded from http", "put ", "--data-root", "--data digits"):
            assert part in said


def test_a_torchvision_that_does_not_import_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchvision", None)
    with pytest.raises(InputError, match="torchvision, which does not import"):
        load_data("mnist", tmp_path)


def test_binarize_has_the_probability_of_the_gray_value():
    """Frequencies within five standard errors, of 4e5 draws each; black and white are certain."""
    gray = torch.tensor([0.0, 1 / 255, 0.3, 0.5, 254 / 255, 1.0])
    draws = binarize(gray.expand(400_000, 6), torch.Generator().manual_seed(0)).double()
    assert set(draws.unique().tolist()) == {0.0, 1.0}
    error = (draws.mean(0) - gray.double()).abs()
    assert (error <= 5 * (gray * (1 - gray) / 400_000).sqrt() + 1e-12).all()
    # Thresholds that share a random word are independent all the same.
    centred = draws[:, 2:4] - draws[:, 2:4].mean(0)
    assert abs((centred[:, 0] * centred[:, 1]).mean()) < 5 * 0.25 / 400_000**0.5


def test_held_out_images_have_one_draw_whatever_the_size_of_the_parts():
    data, seen = load_data("digits"), Binarizer(True)
    whole = torch.cat(list(seen.held_out(data.test, 250)))
    torch.testing.assert_close(torch.cat(list(seen.held_out(data.test, 7))), whole, rtol=0, atol=0)
    assert not torch.equal(torch.cat(list(seen.held_out(data.test, 7, seed=1))), whole)
    gray = torch.cat(list(Binarizer(False).held_out(data.test, 64)))
    torch.testing.assert_close(gray, data.test.batch(slice(0, 250)), rtol=0, atol=0)
