"""Draws from better posteriors than the encoder's, of a run."""

from functools import partial

import numpy as np
import pytest
import torch

import pyro_vae
from pyro_vae.errors import InputError
from pyro_vae.estimators import LocalOptimization, optimize_posterior


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "digits"
    options = {"data": "digits", "epochs": 2, "latent_dim": 2, "engine": "eager", "device": "cpu"}
    pyro_vae.train(**options, out=str(out))
    return pyro_vae.load(out)


def test_optimised_and_exact_draws_agree_where_the_encoder_is_off(run, monkeypatch):
    """After two epochs the encoder is far off, and a posterior in a plane is nearly a Gaussian."""
    quick = partial(optimize_posterior, settings=LocalOptimization(16, 3e-2, 50, 3, 300))
    monkeypatch.setattr("pyro_vae.better.optimize_posterior", quick)
    x = torch.rand(6, *run.model.image_shape)
    draws = {which: pyro_vae.posterior_draws(run, x, 400, which) for which in ("amortized", "optimised", "exact")}
    assert {z.shape for z in draws.values()} == {(400, 6, 2)}
    joint = {which: run.model.log_joint(x, z).mean().item() for which, z in draws.items()}
    assert joint["amortized"] < min(joint["optimised"], joint["exact"]) - 0.1

    def apart(one, other):
        return (draws[one].mean(0) - draws[other].mean(0)).norm(dim=-1).mean()

    assert apart("optimised", "exact") < 0.5 * apart("amortized", "exact")


def test_arrays_give_arrays_and_the_seed_repeats(run):
    x = np.random.default_rng(0).random((3, *run.model.image_shape), dtype=np.float32)
    first, again, other = (pyro_vae.posterior_draws(run, x, 100, seed=seed) for seed in (1, 1, 2))
    assert isinstance(first, np.ndarray)
    assert (first == again).all()
    assert (first != other).any()


def test_what_cannot_be_had_is_one_line(run):
    x = torch.rand(2, *run.model.image_shape)
    with pytest.raises(InputError, match="no posterior 'best'"):
        pyro_vae.posterior_draws(run, x, which="best")
    with pytest.raises(InputError, match="must be positive"):
        pyro_vae.posterior_draws(run, x, 0)
    with pytest.raises(InputError, match="at least one image"):
        pyro_vae.posterior_draws(run, x[:0])
