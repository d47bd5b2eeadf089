"""Every objective against its formula: value, gradient, weight of the KL, free bits; and against Pyro's own."""

import math

import pyro
import pyro.infer
import pytest
import torch
from closed_forms import mean_field
from completeness import missing_lines
from objective_cases import OBJECTIVES, assert_same, run, setting
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from guides import FullRank, MeanField
from pyro_vae import objectives
from pyro_vae.engine import resident
from pyro_vae.objectives import (
    IWAE,
    STL,
    DReG,
    ElboTerms,
    Objective,
    RenyiELBO,
    Trace_ELBO,
    TraceMeanField_ELBO,
    elbo_terms,
)

each_objective = pytest.mark.parametrize("name", OBJECTIVES)


each_weight = pytest.mark.parametrize(("beta", "free_bits"), [(1.0, 0.0), (0.3, 0.0), (0.3, 0.5), (0.7, 50.0)])


def test_every_objective_that_is_found_is_listed():
    assert not (missing := missing_lines(objectives.OBJECTIVES, OBJECTIVES, "OBJECTIVES")), missing


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("family", [FullRank, MeanField])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Trace_ELBO, pyro.infer.Trace_ELBO),
        (TraceMeanField_ELBO, pyro.infer.TraceMeanField_ELBO),
        (IWAE, lambda k, **kw: pyro.infer.RenyiELBO(0, k, **kw)),
        (lambda k: RenyiELBO(-1.5, k), lambda k, **kw: pyro.infer.RenyiELBO(-1.5, k, **kw)),
        (lambda k: RenyiELBO(0.4, k), lambda k, **kw: pyro.infer.RenyiELBO(0.4, k, **kw)),
    ],
    ids=["Trace_ELBO", "TraceMeanField_ELBO", "IWAE", "Renyi -1.5", "Renyi 0.4"],
)
def test_equals_pyro(ours, theirs, family, k):
    model, guide, x = setting()
    guide = guide if family is FullRank else mean_field(model)
    loss, gradient = run(ours(k), model, guide, x)
    expected, gradient_of_pyro = run(theirs(k, max_plate_nesting=1, vectorize_particles=True), model, guide, x)
    assert loss == pytest.approx(expected, rel=1e-12)
    assert_same(gradient, gradient_of_pyro)


def gate(kl: Tensor, free_bits: float) -> bool:
    return free_bits == 0 or bool(kl.mean() > free_bits)


def log_weights(terms: ElboTerms, beta: float, free_bits: float) -> Tensor:
    kl = terms.log_posterior - terms.log_prior
    return terms.log_likelihood - beta * (kl if gate(kl, free_bits) else torch.full_like(kl, free_bits))


def bound_by_hand(name: str, log_weight: Tensor) -> Tensor:
    """From (K, N) to (N,), with no logsumexp: the numbers are small."""
    if name in ("IWAE", "DReG"):
        return log_weight.exp().mean(0).log()
    if name == "RenyiELBO":
        return (log_weight.exp() ** 0.6).mean(0).log() / 0.6
    return log_weight.mean(0)


@each_objective
@each_weight
@pytest.mark.parametrize("k", [1, 4])
def test_recorded_terms_make_the_loss(name, k, beta, free_bits):
    model, guide, x = setting()
    objective = OBJECTIVES[name](k, free_bits=free_bits)
    objective.kl_weight = beta
    loss, _ = run(objective, model, guide, x)
    assert objective.bound.shape == (5,)
    assert loss == -objective.bound.sum().item()
    assert all(t.shape == ((5,) if k == 1 else (k, 5)) and not t.requires_grad for t in objective.terms)
    terms = ElboTerms(*(t.reshape(k, 5) for t in objective.terms))
    expected = bound_by_hand(name, log_weights(terms, beta, free_bits))
    torch.testing.assert_close(objective.bound, expected, rtol=1e-10, atol=1e-10)
    torch.manual_seed(1)
    assert objective.loss(model, guide, x) == loss


def terms_by_hand(model, guide, x: Tensor, eps: Tensor, stopped: bool = False, z: Tensor | None = None):
    """Gaussian densities in plain linear algebra: z = loc + L eps, then log p(x|z), log p(z), log q(z|x), and z."""
    q = guide.posterior(guide.amortize(x))
    loc, tril = q.loc, q.scale_tril
    z = loc + (tril @ eps[..., None])[..., 0] if z is None else z
    if stopped:
        loc, tril = loc.detach(), tril.detach()
    weight, bias, scale = model.decoder.output.weight, model.decoder.output.bias, model.likelihood.scale
    residual = (x.flatten(1) - (z @ weight.T + bias)) / scale
    log_likelihood = -(residual**2).sum(-1) / 2 - 6 * (scale.log() + math.log(2 * math.pi) / 2)
    log_prior = -(z**2).sum(-1) / 2 - math.log(2 * math.pi)
    white = torch.linalg.solve_triangular(tril, (z - loc)[..., None], upper=False)[..., 0]
    log_q = -(white**2).sum(-1) / 2 - tril.diagonal(dim1=-2, dim2=-1).log().sum(-1) - math.log(2 * math.pi)
    return ElboTerms(log_likelihood, log_prior, log_q), z


def surrogate_by_hand(name: str, model, guide, x: Tensor, eps: Tensor, beta: float, free_bits: float) -> Tensor:
    terms, z = terms_by_hand(model, guide, x, eps)
    if name == "TraceMeanField_ELBO":
        q = guide.posterior(guide.amortize(x))
        variance = (q.scale_tril @ q.scale_tril.mT).diagonal(dim1=-2, dim2=-1)
        logdet = 2 * q.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        kl = (variance.sum(-1) + (q.loc**2).sum(-1) - 2 - logdet) / 2
        terms = terms._replace(log_posterior=terms.log_prior + kl)
    log_weight = log_weights(terms, beta, free_bits)
    if name == "STL":
        along_path, _ = terms_by_hand(model, guide, x, eps, stopped=True)
        slope = beta * gate(terms.kl, free_bits)
        return (along_path.log_likelihood - slope * along_path.kl).mean(0).sum()
    if name == "DReG":
        normalised = log_weight.detach().exp() / log_weight.detach().exp().sum(0)
        slope = beta * gate(terms.kl, free_bits)
        leaf = z.detach().requires_grad_()
        at_leaf, _ = terms_by_hand(model, guide, x, eps, stopped=True, z=leaf)
        log_w = at_leaf.log_likelihood - slope * at_leaf.kl
        (direction,) = torch.autograd.grad(log_w.sum(), leaf, retain_graph=True)
        factor = normalised * (1 - slope) + slope * normalised**2
        for_the_guide = (factor[..., None] * direction * z).sum()
        for_the_model = (normalised * log_w).sum()  # z and q are fixed in it: only the model's parameters move it
        return for_the_guide + for_the_model
    return bound_by_hand(name, log_weight).sum()


@each_objective
@each_weight
@pytest.mark.parametrize("k", [1, 4])
def test_gradient_is_autograd_of_the_formula(name, k, beta, free_bits):
    model, guide, x = setting()
    objective = OBJECTIVES[name](k, free_bits=free_bits)
    objective.kl_weight = torch.tensor(beta, dtype=torch.float64)
    _, gradient = run(objective, model, guide, x, seed=2)
    torch.manual_seed(2)
    eps = torch.normal(torch.zeros(k, 5, 2).double(), torch.ones(k, 5, 2).double())
    surrogate = surrogate_by_hand(name, model, guide, x, eps, beta, free_bits)
    modules = {"model": model, "guide": guide}
    parameters = {f"{m}.{n}": p for m, module in modules.items() for n, p in module.named_parameters()}
    by_hand = torch.autograd.grad(-surrogate, list(parameters.values()), materialize_grads=True)
    assert_same(gradient, dict(zip(parameters, by_hand, strict=True)))


def test_free_bits_are_kingmas_equation_15():
    model, guide, x = setting()
    run(plain := Trace_ELBO(3), model, guide, x)
    kl = plain.terms.kl.mean().item()
    for free_bits in (0.9 * kl, 1.1 * kl):
        loss, gradient = run(Trace_ELBO(3, free_bits), model, guide, x)
        assert loss == pytest.approx(-5 * (plain.terms.log_likelihood.mean().item() - max(free_bits, kl)), rel=1e-12)
    _, no_kl = run_without_kl(model, guide, x)
    assert_same(gradient, no_kl)


def run_without_kl(model, guide, x):
    objective = Trace_ELBO(3)
    objective.kl_weight = 0.0
    return run(objective, model, guide, x)


def test_a_kl_that_is_not_a_number_shows_in_the_loss():
    terms = ElboTerms(torch.zeros(2), torch.zeros(2), torch.tensor([math.nan, 1.0]))
    log_weight = Trace_ELBO(free_bits=1.0).log_weight(terms)
    assert log_weight.isnan().tolist() == [[True, False]]


def bound(objective: Objective, model, guide, x, seed: int = 3) -> Tensor:
    torch.manual_seed(seed)
    objective.loss(model, guide, x)
    assert objective.bound is not None
    return objective.bound


def test_one_sample_makes_every_bound_the_elbo():
    model, guide, x = setting()
    loss, gradient = run(Trace_ELBO(1), model, guide, x)
    for other in (IWAE(1), RenyiELBO(0.4, 1)):
        other_loss, other_gradient = run(other, model, guide, x)
        assert other_loss == pytest.approx(loss, rel=1e-12)
        assert_same(other_gradient, gradient)
    assert_same(run(DReG(1), model, guide, x)[1], run(STL(1), model, guide, x)[1])


def test_renyi_joins_the_elbo_and_iwae_and_falls_with_alpha():
    model, guide, x = setting()
    bounds = torch.stack([bound(RenyiELBO(a, 6), model, guide, x) for a in (-2, -0.5, 0, 0.5, 0.999, 1, 1.001, 2, 5)])
    assert (bounds[:-1] - bounds[1:] > 0).all()
    torch.testing.assert_close(bounds[2], bound(IWAE(6), model, guide, x), rtol=0, atol=1e-12)
    torch.testing.assert_close(bounds[5], bound(Trace_ELBO(6), model, guide, x), rtol=0, atol=1e-12)
    # The limit: the slope in alpha at 1 is minus half the variance of the log weights over the samples.
    torch.manual_seed(3)
    variance = elbo_terms(model, guide, x, 6).log_weight.var(0, correction=0)
    torch.testing.assert_close((bounds[4] - bounds[6]) / 0.002, variance / 2, rtol=1e-3, atol=1e-6)


def test_elbo_terms():
    model, guide, x = setting()
    torch.manual_seed(2)
    terms = elbo_terms(model, guide, x, 4)
    torch.manual_seed(2)
    eps = torch.normal(torch.zeros(4, 5, 2).double(), torch.ones(4, 5, 2).double())
    by_hand, _ = terms_by_hand(model, guide, x, eps)
    for ours, expected in zip(terms, by_hand, strict=True):
        torch.testing.assert_close(ours, expected.detach(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(terms.log_weight, terms.log_likelihood - terms.kl)
    assert elbo_terms(model, guide, x).kl.shape == (1, 5)


def test_a_frozen_guide_leaves_the_model_its_gradient():
    model, guide, x = setting()
    _, expected = run(IWAE(4), model, guide, x)
    guide.requires_grad_(False).eval()  # Pyro warns of frozen parameters in training mode
    _, gradient = run(DReG(4), model, guide, x)
    for name in ("model.decoder.output.weight", "model.decoder.output.bias"):
        torch.testing.assert_close(gradient[name], expected[name])


@each_objective
def test_a_captured_step_is_the_same_step(name):
    model, guide, x = setting()
    objective = OBJECTIVES[name](3, free_bits=0.5)
    objective.kl_weight = torch.tensor(0.5, dtype=torch.float64)
    module = objective(model, guide)

    def step(images: Tensor) -> list[Tensor]:
        loss = module(images)
        return [loss, *torch.autograd.grad(loss, list(module.parameters()))]

    with resident():
        captured = make_fx(step)(x)
        other = model(n=5).detach()
        torch.manual_seed(7)
        eager = step(other)
        torch.manual_seed(7)
        for a, b in zip(eager, captured(other), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)
    # Nothing in the graph reads a number back.
    assert not [node for node in captured.graph.nodes if "_local_scalar_dense" in str(node.target)]
