"""k-hat, effective sample size and calibration ranks, right for the exact posterior and loud for a wrong one."""

import sys

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from estimator_cases import OwnSamplesOnly, Point, Scaled, linear_gaussian

from pyro_vae.estimators import NotDefined, calibration, importance, pareto_k, simulate
from pyro_vae.estimators.calibration import uniformity
from pyro_vae.estimators.importance import tail_length

calibration_module = sys.modules["pyro_vae.estimators.calibration"]


@pytest.fixture(scope="module")
def case():
    torch.manual_seed(0)
    model = linear_gaussian(latent_dim=4)
    return model, simulate(model, 30)[0]


def test_k_hat_tells_the_exact_posterior_from_one_too_narrow(case):
    model, x = case
    exact = importance(model, Scaled(model), x)
    wider = importance(model, Scaled(model, 1.2), x)
    narrow = importance(model, Scaled(model, 0.25), x)
    assert exact.k_hat.per_image.max() < 0.5
    assert wider.k_hat.per_image.max() < 0.5
    assert narrow.k_hat.per_image.min() > 0.7
    assert (exact.unreliable.value, narrow.unreliable.value) == (0.0, 1.0)
    assert narrow.effective_samples.value < 0.2


def test_equal_weights_have_no_tail_and_are_all_effective(case):
    model, x = case
    found = importance(model, Scaled(model), x, num_samples=100)
    assert found.effective_samples.value == pytest.approx(1, abs=1e-5)
    assert pareto_k(torch.zeros(100, 2)).tolist() == [0, 0]


def test_effective_samples_are_those_of_gaussian_weights(case):
    model, x = case
    factor = 1.3
    # Of q = N(m, c^2 S), p = N(m, S) in D dimensions: E[w]^2 / E[w^2] = ((2 c^2 - 1)^(1/2) / c^2)^D
    truth = ((2 * factor**2 - 1) ** 0.5 / factor**2) ** 4
    found = importance(model, Scaled(model, factor), x, num_samples=5000).effective_samples
    assert found.value == pytest.approx(truth, abs=0.01)


@pytest.mark.parametrize("k", [0.2, 0.5, 0.9])
def test_pareto_k_finds_the_shape_of_a_pareto_tail(k):
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(20_000, 10, generator=generator, dtype=torch.double)
    found = pareto_k((((1 - uniform) ** -k - 1) / k).log())
    # 425 tail draws know the shape to about (1 + k) / sqrt(425), and ten columns to a third of it
    assert found.mean().item() == pytest.approx(k, abs=0.1)
    assert found.shape == (10,)


@pytest.mark.parametrize(("k", "found"), [(0.3, 0.5), (0.5, 0.85)])
def test_k_hat_of_gaussian_weights_is_biased_upwards_as_its_docstring_says(k, found):
    """q = N(0, (1 - k) I), p = N(0, I) in 20 dimensions: the weights' index is k; 2,000 draws give far more."""
    z = torch.randn(2000, 60, 20, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    k_hat = pareto_k(k * z.square().sum(-1) / 2)
    assert k_hat.mean().item() == pytest.approx(found, abs=0.06)
    assert k_hat.mean().item() > k + 0.1


def test_k_hat_needs_the_largest_weights_only():
    weights = 2 * torch.randn(3000, 5, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    largest = weights.topk(tail_length(3000), 0).values
    torch.testing.assert_close(pareto_k(largest, 3000), pareto_k(weights), rtol=1e-9, atol=0)


def test_k_hat_is_the_chunk_and_batch_invariant_figure_of_each_image(case):
    model, x = case
    a = importance(model, Scaled(model, 0.8), x, 200, chunk=50).k_hat.per_image
    b = importance(model, Scaled(model, 0.8), x, 200, chunk=200).k_hat.per_image
    torch.testing.assert_close(a, b, atol=1e-3, rtol=0)
    assert a.std() > 0


def test_k_hat_needs_draws_and_a_density(case):
    model, x = case
    with pytest.raises(ValueError, match="at least 25"):
        importance(model, Scaled(model), x, num_samples=24)
    with pytest.raises(NotDefined, match="k-hat needs a density"):
        importance(model, Point(model), x)


def test_ranks_of_the_exact_posterior_are_uniform(case):
    model, _ = case
    # The level is 1 in 1000 for each seed; with the seeds fixed the outcome is too.
    found = [calibration(model, Scaled(model), num_images=600, seed=seed) for seed in range(4)]
    assert all(f.p_value > 1e-3 for f in found)
    assert found[0].ranks.shape == (600, 4)
    ranks = torch.cat([f.ranks for f in found]).double()
    assert (ranks.min(), ranks.max()) == (0, 127)
    assert ranks.mean().item() == pytest.approx(63.5, abs=4 * 37 / 9600**0.5)


@pytest.mark.parametrize("guide_class", [Scaled, OwnSamplesOnly, Point])
def test_ranks_of_halved_scales_heap_at_the_ends(case, guide_class):
    model, _ = case
    found = calibration(model, guide_class(model, 0.5), num_images=600)
    assert found.p_value < 1e-6
    assert (found.p_values < 1e-6).all()
    ends = ((found.ranks < 8) | (found.ranks >= 120)).double().mean().item()
    # Under the exact posterior an eighth; here P(|N(0, 1)| > 1.53 / 2), with the draws' own noise
    assert ends == pytest.approx(0.45, abs=0.03)


def test_the_prior_in_place_of_the_posterior_passes(case):
    """Uniform ranks are necessary only, as the docstring and the estimator's words say."""

    class Prior(Scaled):
        def amortize(self, x):
            return torch.zeros(len(x), 4)

        def posterior(self, lam):
            return dist.Normal(lam, 1.0).to_event(1)

    model, _ = case
    assert min(calibration(model, Prior(model), num_images=600, seed=seed).p_value for seed in range(3)) > 1e-3
    assert "necessary condition only" in calibration_module.__doc__


def test_too_wide_a_posterior_is_found_too(case):
    model, _ = case
    assert calibration(model, Scaled(model, 2.0), num_images=600).p_value < 1e-6


def test_the_test_of_uniformity_rejects_as_often_as_it_says():
    generator = torch.Generator().manual_seed(0)
    p = torch.cat([uniformity(torch.randint(0, 128, (400, 50), generator=generator), 127) for _ in range(20)])
    # 1000 tests at 5 %: 50 rejections, give or take 7
    assert 25 < (p < 0.05).sum() < 75
    assert np.allclose(uniformity(torch.arange(128)[:, None].repeat(5, 1), 127), 1)


def test_bins_must_divide_the_ranks(case):
    with pytest.raises(ValueError, match="equal bins"):
        uniformity(torch.zeros(100, 1), 100, 16)
    with pytest.raises(ValueError, match="at least 80 images"):
        uniformity(torch.zeros(79, 1), 127, 16)
