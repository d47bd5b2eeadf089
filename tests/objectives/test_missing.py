"""Masked and scaled sites in IWAE, STL, DReG and the terms: closed forms, and formulas by hand."""

import math

import pyro
import pyro.distributions as dist
import pyro.infer
import pytest
import torch
from handled import (
    FEW,
    OTHERS,
    D,
    N,
    P,
    Reader,
    Story,
    assert_same,
    mask,
    pair,
    run,
    scale,
)
from pyro import poutine
from torch import Tensor, nn
from torch.distributions import kl_divergence

from pyro_vae.objectives import (
    IWAE,
    STL,
    DReG,
    RenyiELBO,
    Trace_ELBO,
    TraceEnum_ELBO,
    TraceMeanField_ELBO,
    elbo_terms,
)
from pyro_vae.params import announce

pytestmark = pytest.mark.usefixtures("_double")


each_k = pytest.mark.parametrize("k", [1, 3])


# Against closed forms and against formulas by hand.


class Line(nn.Module):
    """x ~ N(w z, 1) of two values, the second missing and held by a placeholder."""

    def __init__(self, inside: bool = False):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(1.0))
        self.inside = inside

    def forward(self, x: Tensor) -> None:
        announce(self)
        seen = torch.tensor([True, False])
        with pyro.plate("data", 2, dim=-1):
            z = pyro.sample("z", dist.Normal(torch.zeros(()), 1.0))
            p = dist.Normal(self.w * z, 1.0)
            if self.inside:
                pyro.sample("x", p.mask(seen), obs=x)
            else:
                with poutine.mask(mask=seen):
                    pyro.sample("x", p, obs=x)


class Prior(nn.Module):
    """q(z|x) = N(m, s^2), the prior at its start."""

    def __init__(self):
        super().__init__()
        self.m, self.log_s = (nn.Parameter(torch.zeros(())) for _ in range(2))

    def forward(self, x: Tensor) -> None:
        announce(self)
        with pyro.plate("data", 2, dim=-1):
            pyro.sample("z", dist.Normal(self.m, self.log_s.exp()))


ELBO = math.log(2 * math.pi) / 2 + (0.25 + 1) / 2  # -E log N(0.5; z, 1) under z ~ N(0, 1): 1.544
EVIDENCE = math.log(2 * math.pi * 2) / 2 + 0.25 / 4  # -log N(0.5; 0, 2): 1.328
SLOPE = 1 / 2 - 0.25 / 4  # of the latter in w: 0.4375


@pytest.mark.parametrize("inside", [False, True], ids=["poutine.mask", "Distribution.mask"])
@pytest.mark.parametrize(
    ("objective", "value", "slope"),
    [
        (Trace_ELBO, ELBO, 1.0),
        (TraceMeanField_ELBO, ELBO, 1.0),
        (TraceEnum_ELBO, ELBO, 1.0),
        (STL, ELBO, 1.0),
        (IWAE, EVIDENCE, SLOPE),
        (DReG, EVIDENCE, SLOPE),
        (lambda k: RenyiELBO(0.0, k), EVIDENCE, SLOPE),
    ],
    ids=["Trace_ELBO", "TraceMeanField_ELBO", "TraceEnum_ELBO", "STL", "IWAE", "DReG", "Renyi 0"],
)
def test_a_missing_value_is_no_datum(objective, value, slope, inside):
    """ELBO 1.544 and log p(x) -1.328 in closed form; the placeholder of 100 has no part in them."""
    model, guide = Line(inside), Prior()
    runs = [run(objective(2000), model, guide, torch.tensor([0.5, 100.0]), seed) for seed in range(20)]
    losses = torch.tensor([loss for loss, _ in runs])
    slopes = torch.stack([gradient["m.w"] for _, gradient in runs])
    for found, expected in ((losses, value), (slopes, slope)):
        error = found.std() / len(found) ** 0.5
        assert error < 0.02
        # the bias of log-mean-exp of 2000 weights is below 0.001
        assert abs(found.mean() - expected) < 4 * error + 0.001


def by_hand(model: Story, guide: Reader, x: Tensor, k: int, of_x: Tensor, of_z: Tensor, stop: bool, z=None):
    """log p(x|z), log p(z), log q(z|x), with factors for each image, and z; with ``stop``, q's own parameters rest."""
    torch.manual_seed(1)
    eps = torch.normal(torch.zeros(k, N, D), torch.ones(k, N, D))
    loc, spread = x @ guide.weight, guide.log_scale.exp()
    z = loc + spread * eps if z is None else z
    if stop:
        loc, spread = loc.detach(), spread.detach()
    log_normal = -math.log(2 * math.pi) / 2
    log_x = (-((x - z @ model.weight) ** 2) / 2 + log_normal).sum(-1)
    log_z = (-(z**2) / 2 + log_normal).sum(-1)
    log_q = (-(((z - loc) / spread) ** 2) / 2 - spread.log() + log_normal).sum(-1)
    return of_x * log_x, of_z * log_z, of_z * log_q, z


def gradients(surrogate: Tensor, model: nn.Module, guide: nn.Module) -> dict[str, Tensor]:
    parameters = {f"{m}.{k}": p for m, module in (("m", model), ("g", guide)) for k, p in module.named_parameters()}
    found = torch.autograd.grad(-surrogate, list(parameters.values()), materialize_grads=True)
    return dict(zip(parameters, found, strict=True))


@pytest.mark.parametrize("beta", [1.0, 0.3])
@each_k
def test_stl_is_its_formula_with_masks_and_scales(k, beta):
    model, guide, x = pair({"x": [mask(FEW), scale(3.0)], "z": [mask(OTHERS), scale(0.2)]})
    objective = STL(k)
    objective.kl_weight = beta
    found = run(objective, model, guide, x)
    log_x, log_z, log_q, _ = by_hand(model, guide, x, k, 3.0 * FEW, 0.2 * OTHERS, stop=True)
    bound = (log_x - beta * (log_q - log_z)).mean(0).sum()
    assert_same(found, (-bound.item(), gradients(bound, model, guide)))


@pytest.mark.parametrize("beta", [1.0, 0.3])
@each_k
def test_dreg_is_its_formula_with_masks(k, beta):
    """Of the images whose q is masked no score is in log w, so that their weight is w and not w squared."""
    model, guide, x = pair({"x": [mask(FEW)], "z": [mask(OTHERS)]})
    objective = DReG(k)
    objective.kl_weight = beta
    found = run(objective, model, guide, x)
    log_x, log_z, log_q, z = by_hand(model, guide, x, k, 1.0 * FEW, 1.0 * OTHERS, stop=True)
    log_w = log_x - beta * (log_q - log_z)
    weight = log_w.detach().softmax(0)
    leaf = z.detach().requires_grad_()
    at_leaf = by_hand(model, guide, x, k, 1.0 * FEW, 1.0 * OTHERS, stop=True, z=leaf)
    log_w_at_leaf = at_leaf[0] - beta * (at_leaf[2] - at_leaf[1])
    (direction,) = torch.autograd.grad(log_w_at_leaf.sum(), leaf, retain_graph=True)
    factor = weight - beta * OTHERS * (weight - weight**2)
    surrogate = (factor[..., None] * direction * z).sum() + (weight * log_w_at_leaf).sum()
    bound = (log_w.logsumexp(0) - math.log(k)).sum()
    assert_same(found, (-bound.item(), gradients(surrogate, model, guide)))


def test_dreg_and_iwae_have_one_mean_gradient_where_q_is_masked():
    """The same image many times, with z masked in the guide alone: each row is an estimate of one gradient."""
    rows = 40_000
    torch.manual_seed(0)
    x = torch.randn(1, P).expand(rows, P)
    guide = Reader({"z": [mask(False)]})
    model = Story({"z": [mask(False)]})

    class Rows(nn.Module):
        """The guide with a mean of its own for each row."""

        def __init__(self):
            super().__init__()
            self.loc = nn.Parameter((x @ guide.weight).detach())

        def forward(self, x: Tensor) -> None:
            announce(self)
            with pyro.plate("data", rows, dim=-1), poutine.mask(mask=False):
                pyro.sample("z", dist.Normal(self.loc, guide.log_scale.exp().detach()).to_event(1))

    table = Rows()
    found = {}
    for seed, objective in enumerate((IWAE(3), DReG(3))):
        each = run(objective, model, table, x, seed)[1]["g.loc"]
        found[type(objective)] = (each.mean(0), each.std(0) / rows**0.5)
    (a, ea), (b, eb) = found.values()
    assert (b.abs() > 5 * eb).any()
    assert ((a - b).abs() < 4 * (ea**2 + eb**2).sqrt()).all()


class Coin(nn.Module):
    """z is 0 or 1, masked in model and guide, x ~ N(2 z, 1); one logit of q for each image."""

    def __init__(self, rows: int, of_model: bool):
        super().__init__()
        self.logits = nn.Parameter(torch.full((rows,), 0.4))
        self.of_model = of_model

    def forward(self, x: Tensor) -> None:
        announce(self)
        logits = torch.zeros_like(self.logits) if self.of_model else self.logits
        with pyro.plate("data", len(x), dim=-1):
            with poutine.mask(mask=False):
                z = pyro.sample("z", dist.Bernoulli(logits=logits))
            if self.of_model:
                pyro.sample("x", dist.Normal(2 * z, 1.0), obs=x)


def test_the_score_of_a_masked_site_is_that_of_what_was_drawn():
    """IWAE with samples that carry no gradient: the mean of its gradient is that of the exact expectation over z."""
    rows = 40_000
    guide = Coin(rows, of_model=False)
    _, gradient = run(IWAE(2), Coin(rows, of_model=True), guide, torch.full((rows,), 0.7))
    each = -gradient["g.logits"]
    logit = torch.tensor(0.4).requires_grad_()
    chance = torch.stack([1 - logit.sigmoid(), logit.sigmoid()])
    log_x = dist.Normal(torch.tensor([0.0, 2.0]), 1.0).log_prob(torch.tensor(0.7))
    log_mean = torch.logaddexp(log_x[:, None], log_x[None]) - math.log(2)
    (expected,) = torch.autograd.grad((chance[:, None] * chance[None] * log_mean).sum(), logit)
    assert abs(expected) > 10 * each.std() / rows**0.5
    assert abs(each.mean() - expected) < 4 * each.std() / rows**0.5


def test_terms_of_each_image():
    model, guide, x = pair({"x": [mask(FEW)], "z": [mask(OTHERS), scale(0.2)]})
    run(objective := Trace_ELBO(3), model, guide, x)
    expected = by_hand(model, guide, x, 3, 1.0 * FEW, 0.2 * OTHERS, stop=False)[:3]
    for found, by_formula in zip(objective.terms, expected, strict=True):
        torch.testing.assert_close(found, by_formula.detach(), rtol=1e-10, atol=1e-10)
    run(analytic := TraceMeanField_ELBO(3), model, guide, x)
    q = dist.Normal(x @ guide.weight, guide.log_scale.exp()).to_event(1)
    p = dist.Normal(torch.zeros(N, D), 1.0).to_event(1)
    kl = (0.2 * OTHERS * kl_divergence(q, p)).detach().expand(3, N)
    torch.testing.assert_close(analytic.terms.kl, kl, rtol=1e-10, atol=1e-10)
    torch.manual_seed(1)
    for found, by_formula in zip(elbo_terms(model, guide, x, 3), expected, strict=True):
        torch.testing.assert_close(found, by_formula.detach(), rtol=1e-10, atol=1e-10)


def test_free_bits_look_at_the_kl_that_counts():
    handlers = {"x": [mask(FEW)], "z": [scale(0.01)]}
    run(plain := Trace_ELBO(3), *pair(handlers))
    kl = plain.terms.kl.mean().item()
    for free_bits in (0.9 * kl, 1.1 * kl):
        loss, _ = run(Trace_ELBO(3, free_bits), *pair(handlers))
        assert loss == pytest.approx(-N * (plain.terms.log_likelihood.mean().item() - max(free_bits, kl)), rel=1e-11)
