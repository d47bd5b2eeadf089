"""The split of the inference gap against closed forms, and local optimisation by itself."""

from types import SimpleNamespace

import pyro.distributions as dist
import pytest
import torch
from estimator_cases import SHAPE, OwnSamplesOnly, Point, Scaled, linear_gaussian
from torch.distributions import MultivariateNormal, kl_divergence

from guides import FullRank, Guide, MeanField, MLPEncoder
from pyro_vae.estimators import (
    Estimate,
    LocalOptimization,
    NotDefined,
    bounds_at,
    optimize_posterior,
    simulate,
    split_gap,
)
from pyro_vae.metrics import OWN, Options, Task

QUICK = LocalOptimization(num_samples=32, lr=2e-2, check_every=50, patience=6, max_steps=3000)


@pytest.fixture(scope="module")
def case():
    torch.manual_seed(0)
    model = linear_gaussian()
    model.decoder.output.weight[:, 1] += model.decoder.output.weight[:, 0]  # so that the posterior is correlated
    return model, simulate(model, 24)[0]


def kl_of_mean_field(model, x):
    """KL of the best diagonal Gaussian from p(z|x): that whose precisions are the diagonal of the posterior's."""
    precision = model.exact_posterior(x).precision_matrix[0]
    return (precision.diagonal().log().sum() - precision.logdet()).item() / 2


@pytest.mark.parametrize("family", [FullRank, MeanField])
def test_the_split_is_the_closed_form(case, family):
    model, x = case
    torch.manual_seed(1)
    guide = family(MLPEncoder(SHAPE, [8]), model.latent_dim).requires_grad_(False)
    with torch.no_grad():
        guide.head.weight.mul_(0.5)
    optimum = optimize_posterior(model, guide, x, QUICK)
    best = bounds_at(model, guide, x, optimum.lam, 4000).elbo
    amortized = bounds_at(model, guide, x, guide.amortize(x), 4000).elbo
    split = split_gap(model.log_evidence(x), best, amortized)

    known = kl_of_mean_field(model, x) if family is MeanField else 0.0
    q = guide.posterior(guide.amortize(x))
    q = MultivariateNormal(q.mean, scale_tril=q.scale_tril if family is FullRank else q.stddev.diag_embed())
    whole = kl_divergence(q, model.exact_posterior(x))
    assert split.approximation_gap.value == pytest.approx(known, abs=0.02)
    assert split.amortization_gap.value == pytest.approx(
        whole.mean().item() - known, abs=3 * amortized.sampling_error + 0.02
    )
    assert split.inference_gap.value == pytest.approx(whole.mean().item(), abs=3 * amortized.sampling_error)
    assert split.inference_gap.standard_error == pytest.approx(whole.std().item() / 24**0.5, rel=0.1)
    assert optimum.settled.all()
    # the two families are told apart by far more than the tolerance
    assert kl_of_mean_field(model, x) > 0.1


def test_the_importance_weighted_bound_at_the_optimum_is_close_to_the_evidence(case):
    """64 weights and up at the best diagonal Gaussian; seed 1, three standard errors over images, and 0.05 nat."""
    model, x = case
    torch.manual_seed(1)
    guide = MeanField(MLPEncoder(SHAPE, [8]), model.latent_dim).requires_grad_(False)
    optimum = optimize_posterior(model, guide, x, QUICK)
    evidence = model.log_evidence(x).mean().item()
    few, many = (bounds_at(model, guide, x, optimum.lam, k).iwae for k in (64, 4000))
    assert evidence - 0.05 < many.value < evidence + 3 * many.sampling_error
    assert bounds_at(model, guide, x, optimum.lam, 4000).elbo.value < few.value - 0.05
    exact = bounds_at(model, Scaled(model), x, Scaled(model).amortize(x), 10)
    assert exact.iwae.value == pytest.approx(evidence, abs=1e-4)
    assert exact.elbo.value == pytest.approx(evidence, abs=1e-4)


def test_the_measured_gap_is_to_the_annealed_evidence_and_the_bound_at_the_optimum_is_not_above_it(case):
    model, x = case
    guide = MeanField(MLPEncoder(SHAPE, [8]), model.latent_dim).requires_grad_(False)
    evidence = model.log_evidence(x).double()

    def earlier(metric: str, estimate: str) -> torch.Tensor:
        return evidence - 1 if metric == "elbo" else evidence

    options = Options(local=QUICK, best_samples=500)
    task = Task(SimpleNamespace(model=model, guide=guide), x, options, 0, lambda done, total: None, earlier)
    found = OWN["gap"]().measure(task).estimates
    bound = found["iwae_best"]
    assert bound.bound == "lower"
    assert bound.estimator == "iwae_500 at q*"
    assert -0.05 < bound.value - evidence.mean().item() < 3 * bound.sampling_error
    assert found["approximation_gap"].value == pytest.approx(kl_of_mean_field(model, x), abs=0.05)
    assert found["inference_gap"].estimator == "annealed log p(x) - elbo[q]"
    assert found["inference_gap"].value == pytest.approx(1)


def test_the_parts_add_up():
    figures = [Estimate.over(torch.randn(9), "", 5, "lower") for _ in range(2)]
    split = split_gap(torch.randn(9), *figures)
    total = split.approximation_gap.per_image + split.amortization_gap.per_image
    torch.testing.assert_close(total, split.inference_gap.per_image)
    assert [gap.bound for gap in split] == [None, "lower", "lower"]


def test_a_guide_at_its_best_stays_there(case):
    model, x = case
    guide = Scaled(model)
    settings = LocalOptimization(num_samples=8, check_every=5, patience=2, max_steps=100)
    optimum = optimize_posterior(model, guide, x, settings)
    gap = bounds_at(model, guide, x, optimum.lam, 200).elbo.per_image - model.log_evidence(x)
    assert gap.min() > -0.01
    assert optimum.steps.float().mean() < 60


def test_images_stop_one_by_one_and_are_not_moved_by_their_neighbours():
    """On a bound without noise each image must end where it ends alone, whenever the others stop."""

    class Mean(Guide):
        """q(z|x) so narrow that the bound is log p at its mean but for a constant; it begins at the image."""

        def amortize(self, x):
            return x.flatten(1)

        def posterior(self, lam):
            return dist.Normal(lam, 1e-15).to_event(1)

    class Bowl:
        def log_joint(self, x, z):
            return -z.square().sum(-1)

    guide, x = Mean(MLPEncoder((1,), [1]), 1, 1), torch.linspace(0, 3, 8)[:, None]
    settings = LocalOptimization(num_samples=2, lr=0.05, check_every=10, patience=2, max_steps=2000)
    together = optimize_posterior(Bowl(), guide, x, settings)
    alone = [optimize_posterior(Bowl(), guide, x[i : i + 1], settings) for i in range(8)]
    torch.testing.assert_close(together.lam[1:], torch.cat([a.lam for a in alone])[1:], atol=1e-3, rtol=0)
    assert together.steps[1:].tolist() == [a.steps.item() for a in alone[1:]]
    assert together.steps.unique().numel() > 2
    assert together.lam.abs().max() < 0.3

    capped = optimize_posterior(Bowl(), guide, x, LocalOptimization(2, 0.05, 10, 2, 20))
    assert capped.steps.max() == 20
    assert not capped.settled[7]
    assert capped.lam[7].item() == pytest.approx(3 - 20 * 0.05, abs=0.05)  # Adam moves by lr a step


def test_guides_that_score_their_own_samples_are_split_too(case):
    model, x = case
    guide = OwnSamplesOnly(model)
    assert bounds_at(model, guide, x, guide.amortize(x), 10).elbo.value == pytest.approx(
        model.log_evidence(x).mean().item(), abs=1e-4
    )


def test_a_point_mass_has_no_gap(case):
    model, x = case
    with pytest.raises(NotDefined, match="best posterior of the family needs a density"):
        optimize_posterior(model, Point(model), x)


def test_settings_are_checked():
    with pytest.raises(ValueError, match="patience"):
        LocalOptimization(patience=0)
    with pytest.raises(ValueError, match="max_steps"):
        LocalOptimization(check_every=100, max_steps=50)
