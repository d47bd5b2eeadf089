"""Compiled steps take log1p by log, as exactly as torch's own."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import Trace_ELBO
from torch._inductor import config
from torch.nn import functional as F

import pyro_vae
from pyro_vae.engine import fast_log1p

ROUNDING = 2 * torch.finfo(torch.float32).eps


def test_it_is_exact_to_two_units_in_the_last_place_over_all_magnitudes():
    generator = torch.Generator().manual_seed(0)
    positive = 10 ** torch.empty(200_000).uniform_(-37, 38, generator=generator)
    negative = -(10 ** torch.empty(200_000).uniform_(-37, -1e-3, generator=generator))
    for x in (positive, negative):
        expected = torch.log1p(x.double())
        assert ((fast_log1p.log1p(x).double() - expected) / expected).abs().max() <= ROUNDING


def test_at_the_ends_it_is_as_torch_has_it():
    x = torch.tensor([0.0, -1.0, float("inf"), float("nan"), -2.0, 3.4e38])
    torch.testing.assert_close(fast_log1p.log1p(x), torch.log1p(x), equal_nan=True)


def test_other_numbers_are_left_to_torch():
    assert fast_log1p.log1p(torch.ones(2, dtype=torch.float64)) is NotImplemented
    assert fast_log1p.log1p(torch.ones(2, device="meta")) is NotImplemented


def model(x):
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Bernoulli(logits=z), obs=x)


def guide(x):
    raw = pyro.param("raw", torch.zeros(7))
    with pyro.plate("data", len(x)):
        pyro.sample("z", dist.Normal(0.0, F.softplus(raw)))


def test_inductor_takes_it_for_softplus_and_the_bernoulli_likelihood(monkeypatch):
    """The engine itself holds compiled numbers against its graph's; here, that the rule is used, and changes none."""
    shapes, own = [], fast_log1p.log1p
    monkeypatch.setattr(fast_log1p, "log1p", lambda x: shapes.append(x.shape) or own(x))
    losses = {}
    for engine in ("compiled", "eager"):
        pyro.clear_param_store()
        pyro.set_rng_seed(0)
        svi = pyro_vae.SVI(model, guide, pyro.optim.SGD({"lr": 0.01}), Trace_ELBO(), engine=engine)
        with config.patch(force_disable_caches=True):
            losses[engine] = [svi.step(torch.ones(7)) for _ in range(4)]
    assert len(shapes) >= 2
    assert losses["compiled"] == pytest.approx(losses["eager"], rel=1e-6)
