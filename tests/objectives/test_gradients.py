"""What the objectives are in expectation, and how much their gradients vary, on the linear-Gaussian model.

One image stands in the batch thousands of times, each with its own row of variational parameters: one pass then gives
thousands of independent values of the bound and of its gradient. Means are compared within 4 standard errors.
"""

import pyro
import pyro.distributions as dist
import pytest
import torch
from closed_forms import Flat, Table, exact_guide, gaussian_row, linear_gaussian
from pyro.distributions.testing.fakes import NonreparameterizedNormal
from torch import Tensor
from torch.distributions import kl_divergence

from guides import GUIDES, Guide
from pyro_vae.objectives import IWAE, STL, DReG, Objective, RenyiELBO, Trace_ELBO, TraceMeanField_ELBO

N = 20_000
SIGMAS = 4


def setting(off: float = 0.4, n: int = N) -> tuple:
    """A model, one image n times, and a table of Gaussians that are the exact posterior but for ``off``."""
    torch.manual_seed(0)
    model = linear_gaussian()
    x = model(n=1).detach()
    row = exact_guide(model).amortize(x)[0]
    row = row + off * torch.tensor([1.0, -0.5, 0.7, 0.4, 0.3], dtype=torch.float64)
    return model, Table(n, row, 2).double(), x.expand(n, *x.shape[1:])


def gradients(objective: Objective, model, table: Table, x: Tensor, seed: int = 1) -> Tensor:
    """Independent estimates of the gradient of the bound in the variational parameters, (N, 5)."""
    torch.manual_seed(seed)
    (gradient,) = torch.autograd.grad(-objective.differentiable_loss(model, table, x), table.table)
    return gradient


def bounds(objective: Objective, model, table: Table, x: Tensor, seed: int = 1) -> Tensor:
    torch.manual_seed(seed)
    objective.loss(model, table, x)
    assert objective.bound is not None
    return objective.bound


def standard_error(values: Tensor) -> Tensor:
    return values.std(0) / len(values) ** 0.5


def assert_same_mean(a: Tensor, b: Tensor) -> None:
    """Of independent samples, coordinate by coordinate."""
    error = (standard_error(a) ** 2 + standard_error(b) ** 2).sqrt()
    assert ((a.mean(0) - b.mean(0)).abs() < SIGMAS * error).all(), (a.mean(0), b.mean(0), error)


# The bounds.


def closed_form_elbo(model, table: Table, x: Tensor) -> float:
    q, p = table.posterior(table.amortize(x[:1])[:1]), model.exact_posterior(x[:1])
    return (model.log_evidence(x[:1]) - kl_divergence(q, p)).item()


@pytest.mark.parametrize(
    "objective", [Trace_ELBO(2), TraceMeanField_ELBO(2), STL(2), IWAE(1)], ids=lambda o: type(o).__name__
)
def test_the_elbo_is_the_evidence_less_the_kl(objective):
    model, table, x = setting()
    expected = closed_form_elbo(model, table, x)
    assert expected < model.log_evidence(x[:1]).item() - 0.3  # some way from the exact posterior
    found = bounds(objective, model, table, x)
    assert abs(found.mean() - expected) < SIGMAS * standard_error(found)
    assert standard_error(found) < 0.02


def test_the_two_estimators_of_the_elbo_agree_and_b_varies_less():
    model, table, x = setting()
    sampled, analytic = Trace_ELBO(), TraceMeanField_ELBO()
    assert_same_mean(bounds(sampled, model, table, x, seed=1), bounds(analytic, model, table, x, seed=2))
    assert_same_mean(gradients(sampled, model, table, x, seed=1), gradients(analytic, model, table, x, seed=2))
    q, prior = table.posterior(table.amortize(x)), model.prior()
    as_matrix = torch.distributions.MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())
    torch.testing.assert_close(analytic.terms.kl, kl_divergence(q, as_matrix).detach())
    torch.testing.assert_close(analytic.terms.log_posterior, -q.entropy().detach())
    low_rank = dist.LowRankMultivariateNormal(q.loc, q.scale_tril[..., :1], q.variance)
    for p in (prior, dist.Normal(q.loc[0] + 0.3, torch.tensor([0.5, 2.0]).double()).to_event(1)):
        full = torch.distributions.MultivariateNormal(p.mean, torch.diag_embed(p.variance))
        expected = kl_divergence(low_rank, full)
        torch.testing.assert_close(kl_divergence(low_rank, p), expected)


def test_iwae_rises_with_k_and_stays_below_the_evidence():
    model, table, x = setting()
    evidence = model.log_evidence(x[:1]).item()
    found = [bounds(IWAE(k), model, table, x, seed=k) for k in (1, 2, 5, 20, 60)]
    means = torch.stack([b.mean() for b in found])
    errors = torch.stack([standard_error(b) for b in found])
    assert (means[1:] - means[:-1] > -SIGMAS * (errors[1:] ** 2 + errors[:-1] ** 2).sqrt()).all()
    assert means[2] - means[0] > 0.2  # and not because all are equal
    assert (means < evidence + SIGMAS * errors).all()
    assert evidence - means[-1] < 0.05


# The gradients.


@pytest.mark.parametrize(("beta", "free_bits"), [(1.0, 0.0), (0.5, 0.0), (1.0, 50.0)])
def test_dreg_agrees_with_iwae_in_mean_and_varies_less(beta, free_bits):
    model, table, x = setting()
    iwae, dreg = IWAE(5, free_bits), DReG(5, free_bits)
    iwae.kl_weight = dreg.kl_weight = beta
    one, two = gradients(iwae, model, table, x), gradients(dreg, model, table, x)
    assert one.mean(0).abs().max() > 10 * standard_error(one).max()
    difference = two - one  # the same noise, so the difference varies less than either
    if free_bits:  # there is no score of q to reparameterise
        torch.testing.assert_close(one, two)
    else:
        assert (difference.mean(0).abs() < SIGMAS * standard_error(difference)).all()
        assert (two.var(0).sum() < 0.7 * one.var(0).sum()).all()


def test_stl_agrees_with_the_elbo_in_mean():
    model, table, x = setting()
    difference = gradients(STL(), model, table, x) - gradients(Trace_ELBO(), model, table, x)
    assert difference.var(0).min() > 1e-3
    assert (difference.mean(0).abs() < SIGMAS * standard_error(difference)).all()


@pytest.mark.parametrize("name", [name for name, family in GUIDES.items() if family.scores_any_z])
def test_the_path_derivative_holds_for_every_guide_found(name):
    model, _, x = setting(n=1_000)
    guide = GUIDES[name](Flat(1), 2).double()
    parameters = (0.3 * torch.randn(lambda_size(guide), dtype=torch.float64)).repeat(len(x), 1).requires_grad_()
    guide.amortize = lambda images: parameters
    found = []
    for objective in (Trace_ELBO(), STL(), IWAE(2), DReG(2)):
        torch.manual_seed(1)
        with pyro.validation_enabled(False):
            found += torch.autograd.grad(objective.differentiable_loss(model, guide, x), parameters)
    elbo, stl, iwae, dreg = found
    assert standard_error(elbo).max() > 0
    for one, two in ((elbo, stl), (iwae, dreg)):
        difference = one - two
        assert (difference.mean(0).abs() <= SIGMAS * standard_error(difference) + 1e-9).all()


def lambda_size(guide: Guide) -> int:
    """The number P of variational parameters of one image."""
    return getattr(guide, "inner", guide).head.out_features


@pytest.mark.parametrize("k", [1, 5])
def test_stl_and_dreg_stand_still_at_the_exact_posterior(k):
    model, table, x = setting(off=0.0, n=500)
    for objective in (STL(k), DReG(k)):
        assert gradients(objective, model, table, x).abs().max() < 1e-12
        assert (bounds(objective, model, table, x) - model.log_evidence(x)).abs().max() < 1e-12
    for objective in (Trace_ELBO(k), TraceMeanField_ELBO(k), IWAE(k)):
        assert gradients(objective, model, table, x).var(0).min() > 0.01


def test_the_models_gradient_is_the_same_for_iwae_and_dreg():
    model, table, x = setting(n=50)
    found = []
    for objective in (IWAE(5), DReG(5)):
        torch.manual_seed(1)
        found.append(torch.autograd.grad(objective(model, table)(x), list(model.decoder.parameters())))
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two)


# Samples without gradients.


class DiagonalTable(Table):
    """A diagonal Gaussian for each image: the last parameter is not used."""

    normal = dist.Normal

    def posterior(self, lam: Tensor) -> dist.TorchDistribution:
        return self.normal(lam[..., :2], lam[..., 2:4].exp()).to_event(1)


class ScoreTable(DiagonalTable):
    normal = NonreparameterizedNormal


@pytest.mark.parametrize(
    "objective",
    [Trace_ELBO(2), IWAE(1), IWAE(3), RenyiELBO(0.5, 3), RenyiELBO(1.0, 3)],
    ids=["Trace_ELBO", "IWAE 1", "IWAE 3", "Renyi 0.5", "Renyi 1"],
)
def test_the_score_function_gives_the_same_mean(objective):
    model, _, x = setting()
    objective.kl_weight = 0.8
    row = gaussian_row(torch.tensor([0.2, -0.3]).double(), torch.eye(2).double())
    path, score = (t(N, row, 2).double() for t in (DiagonalTable, ScoreTable))
    one, two = gradients(objective, model, path, x, seed=1), gradients(objective, model, score, x, seed=2)
    assert one[:, :4].var(0).min() > 0
    assert_same_mean(one[:, :4], two[:, :4])


def test_pyros_score_function_is_weighed_too():
    model, _, x = setting(n=100)
    table = ScoreTable(100, torch.tensor([0.2, -0.3, 0.1, -0.2, 0.0]).double(), 2).double()
    objective = Trace_ELBO(2)
    objective.kl_weight = 0.3
    found = gradients(objective, model, table, x)
    torch.manual_seed(1)
    q = table.posterior(table.amortize(x))
    z = q.expand((2, 100)).sample()
    log_q, log_prior = q.log_prob(z), model.prior().log_prob(z)
    signal = model.log_joint(x, z) - log_prior - 0.3 * (log_q - log_prior)
    (expected,) = torch.autograd.grad((log_q * signal.detach()).mean(0).sum(), table.table)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


class UnreparameterisedMVN(dist.MultivariateNormal):
    has_rsample = False


class FullScoreTable(Table):
    def posterior(self, lam: Tensor) -> dist.TorchDistribution:
        q = super().posterior(lam)
        return UnreparameterisedMVN(q.loc, scale_tril=q.scale_tril)


def test_each_sample_is_credited_with_what_it_adds_to_the_others():
    # At the exact posterior all log weights are equal, so that no sample adds anything to the bound of the others: what
    # is left is the derivative of the weights themselves, minus the mean over samples of that of log q.
    model, table, x = setting(off=0.0, n=100)
    table = FullScoreTable(100, table.table[0], 2).double()
    found = gradients(IWAE(3), model, table, x)
    torch.manual_seed(1)
    q = table.posterior(table.amortize(x))
    z = q.expand((3, 100)).sample()
    (expected,) = torch.autograd.grad(-q.log_prob(z).mean(0).sum(), table.table)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
