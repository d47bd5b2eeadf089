"""A run on images with missing pixels put to use, and small pictures."""

import numpy as np
import pytest
from PIL import Image

import pyro_vae
from pyro_vae.use import imputations, reconstructions

SMALL = {"epochs": 1, "final_samples": 2, "engine": "eager", "quiet": True, "latent_dim": 2, "batch_size": 20}
SIDE = 64  # pixels of a tile of a picture


@pytest.fixture(scope="module")
def holed(tmp_path_factory):
    """A run on images of 8 x 8 whose lower half was never seen."""
    folder = tmp_path_factory.mktemp("runs")
    x = np.random.default_rng(0).random((60, 8, 8), dtype=np.float32)
    x[:, 4:] = np.nan
    np.save(folder / "x.npy", x)
    run = pyro_vae.train(data=str(folder / "x.npy"), likelihood="Gaussian", missing="mask", out=folder / "run", **SMALL)
    return run, x


def tiles(path, down):
    """The middle of each tile's upper left pixel and of its lower left one, ``(down, across, 2)``."""
    with Image.open(path) as picture:
        sheet = np.asarray(picture)
    across = (sheet.shape[1] + 1) // (SIDE + 1)
    assert sheet.shape[0] == down * (SIDE + 1) - 1
    starts = [(SIDE + 1) * np.arange(n) + 4 for n in (down, across)]
    return np.stack([sheet[np.ix_(starts[0] + below, starts[1])] for below in (0, SIDE - 8)], -1)


def test_images_with_missing_pixels_are_reconstructed(holed, tmp_path, capsys):
    run, x = holed
    found = pyro_vae.reconstruct(run, x, num_samples=4)
    assert np.isfinite(found).all()
    assert np.isfinite(pyro_vae.posterior_draws(run, x[:2], 5, "amortized")).all()
    np.save(tmp_path / "few.npy", x[:7])
    words = [str(run.folder.path), str(tmp_path / "few.npy"), "--num-samples", "4", "--out", str(tmp_path / "r.png")]
    reconstructions.main(words)
    few = pyro_vae.reconstruct(run, x[:7], num_samples=4)[:, 0]
    error = np.sqrt(np.square(few[:, :4] - x[:7, :4]).mean())
    assert f"7 rows; root mean square error of a pixel {error:.4f}" in capsys.readouterr().out
    # seven in a row, each above its own reconstruction; what is missing is gray
    shown = tiles(tmp_path / "r.png", 2)
    both = np.stack([x[:7], few])[:, :, [0, 7], 0]
    low, high = np.nanmin([x[:7], few]), np.nanmax([x[:7], few])
    low, high = (0.0, 1.0) if 0 <= low <= high <= 1 else (low, high)
    expected = np.where(np.isnan(both), 0.5, (both - low) / (high - low))
    np.testing.assert_allclose(shown, 255 * expected, atol=0.51)


def test_missing_pixels_stand_gray_beside_their_completions(holed, tmp_path):
    run, x = holed
    np.save(tmp_path / "two.npy", x[:2])
    words = [str(run.folder.path), str(tmp_path / "two.npy"), "--num-samples", "20", "--out", str(tmp_path / "f.png")]
    imputations.main(words)
    shown = tiles(tmp_path / "f.png", 2)
    assert shown.shape == (2, 2, 2)  # an image and its completion in a row
    assert set(shown[:, 0, 1]) == {128}
    np.testing.assert_array_equal(shown[:, 0, 0], shown[:, 1, 0])
