"""Missing pixels of images: they stay missing where gray images become zeros and ones."""

import numpy as np
import pytest
import torch

import pyro_vae
from pyro_vae.data import Binarizer, binarize, load_data
from pyro_vae.errors import InputError
from pyro_vae.estimators import elbo
from pyro_vae.use.rows import rows_of

SMALL = {"epochs": 1, "final_samples": 2, "engine": "eager", "quiet": True, "latent_dim": 2, "device": "cpu"}


@pytest.fixture
def halves():
    """Digits, every other one without its lower half; the first has no pixel at all."""
    x = load_data("digits").train.batch(slice(0, 100)).numpy()
    x[::2, :, 4:] = np.nan
    x[0] = np.nan
    return x


def test_a_draw_of_zeros_and_ones_leaves_missing_pixels_and_changes_no_other(halves):
    x = torch.from_numpy(halves)
    drawn = binarize(x, torch.Generator().manual_seed(0), missing=True)
    assert torch.equal(drawn.isnan(), x.isnan())
    without = binarize(x.nan_to_num(0.0), torch.Generator().manual_seed(0))
    seen = ~x.isnan()
    assert torch.equal(drawn[seen], without[seen])
    assert torch.equal(Binarizer(False, missing=True)(x, torch.Generator())[seen], x[seen])


@pytest.mark.parametrize("missing", ["allow", "mask"])
def test_a_bernoulli_run_learns_and_is_used_on_what_is_seen(halves, missing, tmp_path):
    run = pyro_vae.train(data=halves, likelihood="Bernoulli", missing=missing, out=tmp_path / "run", **SMALL)
    rows = rows_of(run, halves)
    x = rows.source.batch(slice(None))
    assert rows.binarised
    assert np.array_equal(x.isnan().numpy(), np.isnan(halves))
    assert set(x[~x.isnan()].tolist()) == {0.0, 1.0}
    found = elbo(run.model, run.guide, x, 2)
    assert found.log_likelihood.per_image[0].item() == 0.0  # nothing of it is seen
    filled = pyro_vae.impute(run, x.numpy(), num_samples=10).values
    assert np.isfinite(filled).all()
    seen = ~np.isnan(halves)
    assert np.array_equal(filled[seen], x.numpy()[seen])
    whole = rows_of(run, halves[1::2])
    assert whole.source.images.dtype == bool
    assert not rows_of(run, np.where(halves > 0.5, 1.0, halves * 0)).binarised


@pytest.mark.parametrize("likelihood", ["DiscretizedLogistic", "Categorical", "BetaBinomial"])
def test_a_run_on_gray_levels_takes_missing_pixels(halves, likelihood, tmp_path):
    run = pyro_vae.train(data=halves, likelihood=likelihood, missing="allow", out=tmp_path / "run", **SMALL)
    assert run.model.likelihood.levels == 17
    test = run.folder.read_metrics()["test_elbo"]
    held_out = load_data("memory", given=halves, missing=True).test
    assert held_out.seen() < 64
    assert test["bits_per_dimension"] == pytest.approx(-test["value"] / (held_out.seen() * np.log(2)))
    assert elbo(run.model, run.guide, rows_of(run, halves).source.batch(slice(1)), 2).log_likelihood.value == 0.0
    between = halves.copy()
    between[1, 0, 0, 0] = 0.03
    with pytest.raises(InputError, match="pixels between the 17 levels"):
        rows_of(run, between).source.batch(slice(None))
