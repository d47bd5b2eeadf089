"""Features of a run against its own posterior."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

import pyro_vae
import pyro_vae.encoding
from guides import GUIDES
from pyro_vae.build import build
from pyro_vae.encoding import encode
from pyro_vae.errors import InputError
from pyro_vae.options import settings_of

SHAPE = (1, 3, 2)


def built(guide: str):
    options = {"guide": guide, "likelihood": "Gaussian", "latent_dim": 3, "seed": 1}
    model, guide = build(settings_of(options).config, SHAPE, torch.full(SHAPE, 0.5))
    return model.eval(), guide.eval()


@pytest.mark.parametrize("name", GUIDES)
def test_moments_are_those_of_many_samples(name):
    """Within standard errors of 4,000 other samples, and of the 4,000 that estimate them where nothing is exact."""
    model, guide = built(name)
    x = torch.rand(4, *SHAPE)
    n = 4000
    draws = encode(model, guide, x, "samples", n, seed=7)
    assert draws.shape == (n, 4, 3)
    mean, std = (encode(model, guide, x, statistic, n) for statistic in ("mean", "std"))
    assert mean.shape == std.shape == (4, 3)
    spread = draws.std(0)
    # SemiAmortized draws its lambda as well, another one at each call; after a step of it the posterior has moved
    slack = 0.2 if name == "SemiAmortized" else 1e-5
    assert ((mean - draws.mean(0)).abs() <= 5 * spread * (2 / n) ** 0.5 + slack).all()
    assert ((std - spread).abs() <= 8 * spread * (1 / n) ** 0.5 + slack).all()
    if name == "Delta":
        assert torch.equal(mean, guide.amortize(x).detach())
        assert not std.any()


def test_closed_forms_need_no_samples_and_no_batch():
    model, guide = built("FullRank")
    x = torch.rand(7, *SHAPE)
    q = guide.posterior(guide.amortize(x))
    for batch_size in (3, 1000):
        torch.testing.assert_close(encode(model, guide, x, batch_size=batch_size), q.mean)
        torch.testing.assert_close(encode(model, guide, x, "std", batch_size=batch_size), q.variance.sqrt())


def test_samples_are_those_of_the_seed_and_leave_the_generator():
    model, guide = built("IAF")
    x = torch.rand(5, *SHAPE)
    state = torch.get_rng_state()
    first = encode(model, guide, x, "samples", 2, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, encode(model, guide, x, "samples", 2, seed=3))
    assert not torch.equal(first, encode(model, guide, x, "samples", 2, seed=4))
    assert encode(model, guide, x, "samples").shape == (1, 5, 3)
    # another batch has other noise: equal images in two batches do not share their samples
    twice = encode(model, guide, x[:1].repeat(2, 1, 1, 1), "samples", batch_size=1)
    assert not torch.equal(twice[:, 0], twice[:, 1])


def test_features_of_a_run_folder_and_of_a_run(train):
    folder = train("run", "--epochs", "1")
    run = pyro_vae.load(folder.path)
    x = np.random.default_rng(0).random((4, 1, 8, 8))
    found = pyro_vae.features(folder.path, x)
    assert isinstance(found, np.ndarray)
    images = torch.from_numpy(x).float()
    expected = run.guide.posterior(run.guide.amortize(images)).mean
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-6)
    assert np.array_equal(found, pyro_vae.features(str(folder.path), x))
    assert torch.equal(torch.from_numpy(found), pyro_vae.features(run, images))


def test_what_is_refused():
    model, guide = built("MeanField")
    for wrong in [(4, 1, 2, 3), (0, 1, 3, 2), (4, 6)]:
        with pytest.raises(InputError, match=r"of shape \(N, 1, 3, 2\), not"):
            encode(model, guide, torch.rand(wrong))
    with pytest.raises(InputError, match="no statistic 'median'; there are mean, std, samples"):
        encode(model, guide, torch.rand(4, *SHAPE), "median")


def test_the_function_is_not_hidden_by_a_module_of_its_name():
    assert find_spec("pyro_vae.features") is None
    assert pyro_vae.features is pyro_vae.encoding.features


def trained_on(path: Path, array: np.ndarray, train, *flags: str) -> Path:
    np.save(path / "a.npy", array)
    return train("run", "--data", str(path / "a.npy"), "--batch-size", "8", "--epochs", "1", *flags).path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("flags", [(), ("--likelihood", "Gaussian", "--likelihood.squash", "false")])
def test_whole_numbers_are_read_as_the_training_images_were(tmp_path, train, dtype, flags):
    most = np.iinfo(dtype).max
    array = np.random.default_rng(0).integers(0, most, (40, 4, 5), dtype=dtype, endpoint=True)
    run = trained_on(tmp_path, array, train, *flags)
    x = array[:, None]
    expected = pyro_vae.features(run, x / np.float32(most))
    for given in (
        x,
        np.asfortranarray(x),
        x[::-1][::-1],
        torch.from_numpy(x),
        np.load(tmp_path / "a.npy", "r")[:, None],
    ):
        np.testing.assert_array_equal(pyro_vae.features(run, given), expected)
    assert isinstance(pyro_vae.features(run, torch.from_numpy(x)), torch.Tensor)
    # On another scale, or of a type whose scale the run does not know, they are refused.
    with pytest.raises(InputError, match=r"pixels from .* to .* saw them in \[0, 1\]: scale them alike"):
        pyro_vae.features(run, x.astype(np.float32))
    other = np.uint16 if dtype == np.uint8 else np.uint8
    for kind in (other, np.int64, np.int8):
        with pytest.raises(InputError, match=f"x holds {np.dtype(kind).name}, .* give {np.dtype(dtype).name}"):
            pyro_vae.features(run, (x // most).astype(kind))


def test_digits_are_divided_by_their_own_16(train):
    from sklearn.datasets import load_digits

    run = train("run", "--epochs", "1").path
    images = load_digits().images[:5, None]
    expected = pyro_vae.features(run, images / 16)
    np.testing.assert_array_equal(pyro_vae.features(run, images.astype(np.uint8)), expected)
    with pytest.raises(InputError, match="from 0 to 16"):
        pyro_vae.features(run, images)


def test_a_run_on_floating_point_numbers_knows_no_whole_ones(tmp_path, train):
    array = np.random.default_rng(0).normal(size=(40, 4, 5)).astype(np.float32)
    run = trained_on(tmp_path, array, train, "--likelihood", "Gaussian", "--likelihood.squash", "false")
    x = array[:, None]
    expected = pyro_vae.features(run, x)
    for given in (x.astype(np.float64), x.astype(">f4"), 3 * x - 2 * x, x[..., ::-1][..., ::-1]):
        np.testing.assert_allclose(pyro_vae.features(run, given), expected, rtol=1e-4, atol=1e-5)
    assert np.isfinite(pyro_vae.features(run, 3 * x)).all(), "the training data's range is no bound"
    for kind in (np.uint8, np.int64, bool, np.complex64):
        with pytest.raises(InputError, match=f"x holds {np.dtype(kind).name}, whose scale is not known"):
            pyro_vae.features(run, np.ones((2, 1, 4, 5), kind))
    with pytest.raises(InputError, match="NaN or infinite"):
        pyro_vae.features(run, np.where(x > 2, np.nan, x))


def test_zeros_and_ones_are_pixels_of_a_run_on_them(tmp_path, train):
    array = np.random.default_rng(0).random((40, 4, 5)) > 0.5
    run = trained_on(tmp_path, array, train)
    x = array[:, None]
    np.testing.assert_array_equal(pyro_vae.features(run, x), pyro_vae.features(run, x.astype(float)))


def test_a_run_of_an_older_version_says_nothing_of_whole_numbers(tmp_path, train):
    folder = train("run", "--epochs", "1")
    state = folder.restore("best")
    for name in ("stored", "classes"):
        del state[name]
    folder.save("best", state)
    run = pyro_vae.load(folder.path)
    assert (run.stored, run.classes) == (None, None)
    assert pyro_vae.features(run, np.ones((2, 1, 8, 8))).shape == (2, 3)
    with pytest.raises(InputError, match="whose scale is not known: give floating-point pixels"):
        pyro_vae.features(run, np.ones((2, 1, 8, 8), np.uint8))
