"""Compiled steps take log1p by log, as exactly as torch's own."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import Trace_ELBO
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


def test_compiled_code_keeps_its_digits():
    """A compiler that took (1 + x) - 1 for x would lose them all near 0."""
    from torch._inductor import compile as inductor

    graph = torch.fx.Graph()
    graph.output((graph.call_function(torch.ops.aten.log1p.default, (graph.placeholder("x"),)),))
    x = torch.logspace(-30, 2, 4001)
    x = torch.cat([x, -x[x < 0.999]])
    with torch.no_grad():
        found = inductor(fast_log1p.with_fast_log1p(torch.fx.GraphModule({}, graph)), [x])(x)[0].double()
    expected = torch.log1p(x.double())
    assert ((found - expected) / expected).abs().max() <= ROUNDING


def test_at_the_ends_it_is_as_torch_has_it():
    x = torch.tensor([0.0, -1.0, float("inf"), float("nan"), -2.0, 3.4e38])
    torch.testing.assert_close(fast_log1p.log1p(x), torch.log1p(x), equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_softplus_and_the_bernoulli_likelihood_are_as_torch_has_them(dtype):
    x = torch.cat([torch.linspace(-120, 120, 4001), torch.tensor([0.0, 19.9, 20.0, 20.1, float("inf")])]).to(dtype)
    rounding = 4 * torch.finfo(dtype).eps
    for beta, threshold in ((1.0, 20.0), (2.0, 5.0), (-0.5, 20.0)):
        expected = F.softplus(x.double(), beta, threshold)
        found = fast_log1p.softplus(x, beta, threshold).double()
        torch.testing.assert_close(found, expected, rtol=rounding, atol=1e-37)  # smaller ones have fewer digits
    x = x[:-1]
    for target in (0.0, 1.0, 0.3):
        whole = torch.full_like(x, target)
        found = fast_log1p.binary_cross_entropy_with_logits(x, whole, reduction=0).double()
        exact = x.double().clamp_min(0) - x.double() * whole.double() + torch.log1p(torch.exp(-x.double().abs()))
        size = exact if target in (0.0, 1.0) else exact + x.abs()  # a sum's digits are those of its largest part
        assert ((found - exact).abs() <= rounding * size + 1e-37).all()
    assert fast_log1p.binary_cross_entropy_with_logits(x, x) is None  # a mean is left to torch
    ends, target = torch.tensor([float("inf"), float("-inf")]), torch.tensor([0.0, 1.0])
    assert fast_log1p.binary_cross_entropy_with_logits(ends, target, reduction=0).tolist() == [float("inf")] * 2


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32, torch.bool])
def test_whole_numbers_become_float32_first(dtype):
    largest = 1 if dtype is torch.bool else torch.iinfo(dtype).max
    x = torch.tensor([0, 1, largest], dtype=dtype)
    torch.testing.assert_close(fast_log1p.log1p(x), torch.log1p(x))


def model(x):
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Bernoulli(logits=z), obs=x)


def guide(x):
    raw = pyro.param("raw", torch.zeros(7))
    with pyro.plate("data", len(x)):
        pyro.sample("z", dist.Normal(0.0, F.softplus(raw)))


def test_compiled_steps_take_it_for_softplus_and_the_bernoulli_likelihood(monkeypatch):
    """The engine itself holds compiled numbers against its graph's; here, that the rule is used, and changes none."""
    taken, own = [], fast_log1p.log1p
    monkeypatch.setattr(fast_log1p, "log1p", lambda x: taken.append(x) or own(x))
    losses = {}
    for engine in ("compiled", "eager"):
        pyro.clear_param_store()
        pyro.set_rng_seed(0)
        svi = pyro_vae.SVI(model, guide, pyro.optim.SGD({"lr": 0.01}), Trace_ELBO(), engine=engine)
        losses[engine] = [svi.step(torch.ones(7)) for _ in range(4)]
    assert len(taken) == 2
    assert losses["compiled"] == pytest.approx(losses["eager"], rel=1e-6)
