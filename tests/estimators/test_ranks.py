"""Ranks, expected coverage and TARP on a linear-Gaussian model: each fault fails what theory says, and only that."""

import pyro.distributions as dist
import pytest
import torch
from estimator_cases import OwnSamplesOnly, Point, Scaled, linear_gaussian
from scipy import stats

from pyro_vae.estimators import (
    NotDefined,
    RankTest,
    coverage_at,
    rank_densities,
    rank_dimensions,
    rank_quantities,
    simulated,
    tarp,
)
from pyro_vae.estimators.uniformity import rank_test

DIMENSIONS = 3


class IgnoresImages(Scaled):
    """The prior for every image."""

    def posterior(self, lam):
        return dist.Normal(torch.zeros_like(lam), 1.0).to_event(1)


class Shifted(Scaled):
    """The exact posterior, its first mean moved by one standard deviation."""

    def amortize(self, x):
        exact = self.exact(x)
        return exact.mean + exact.stddev * torch.eye(DIMENSIONS)[0]


@pytest.fixture(scope="module")
def model():
    return linear_gaussian(DIMENSIONS)


def every_test(model, guide, count=400, seed=0):
    of = simulated(model, guide, count, 199, seed)
    return {
        "dimensions": rank_dimensions(of),
        "densities": rank_densities(guide, of, seed),
        "tarp": tarp(model, of, "images", seed),
        "tarp, prior": tarp(model, of, "prior", seed),
        "log_joint": rank_quantities(of, {"log p(x, z)": model.log_joint}, seed),
    }


def test_the_exact_posterior_is_rejected_as_often_as_each_test_says(model):
    """One large simulation in 120 parts of 50 images: each part is a test of its own."""
    found = every_test(model, Scaled(model), 6000)
    for name, test in found.items():
        parts = [rank_test(test.names, ranks, test.num_samples) for ranks in test.ranks.split(50)]
        for column in range(len(test.names)):
            rejected = sum(part.p_values[column].item() <= 0.2 for part in parts)
            low, high = stats.binom.interval(0.9999, 120, 0.2)
            assert low - 3 <= rejected <= high, (name, column, rejected)  # the counts are discrete
        assert sum(part.p_value <= 0.05 for part in parts) <= stats.binom.ppf(0.9995, 120, 0.05), name
        assert test.p_value > 1e-3, name


def test_halved_scales_fail_every_test(model):
    found = every_test(model, Scaled(model, 0.5))
    assert all(test.p_value < 1e-10 for test in found.values())
    # a region of level a holds |z| < c of the narrow q: chi-squared with 3 degrees of freedom at c / 4
    for level in (0.5, 0.9):
        expected = stats.chi2.cdf(stats.chi2.ppf(level, DIMENSIONS) / 4, DIMENSIONS)
        estimate = coverage_at(found["densities"], level)
        assert estimate.value == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 400) ** 0.5)
        assert estimate.standard_error == pytest.approx((expected * (1 - expected) / 400) ** 0.5, rel=0.3)


def test_doubled_scales_cover_too_often(model):
    estimate = coverage_at(every_test(model, Scaled(model, 2.0))["densities"], 0.5)
    expected = stats.chi2.cdf(stats.chi2.ppf(0.5, DIMENSIONS) * 4, DIMENSIONS)
    assert estimate.value == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 400) ** 0.5)


def test_a_shifted_mean_fails_in_its_own_dimension(model):
    found = every_test(model, Shifted(model))
    p_values = found["dimensions"].p_values
    assert p_values[0] < 1e-10
    assert (p_values[1:] > 1e-3).all()
    # ranks of the shifted dimension are Phi(e - 1): below a half with probability Phi(1)
    below = (found["dimensions"].ranks[:, 0] < 100).double().mean().item()
    assert below == pytest.approx(stats.norm.cdf(1), abs=4 * (0.84 * 0.16 / 400) ** 0.5)
    assert found["densities"].p_value < 1e-3
    assert found["tarp"].p_value < 1e-3
    assert found["tarp"].p_values[0] < 1e-3


def test_a_guide_that_ignores_x_passes_all_but_what_knows_x(model):
    """Ranks, coverage and TARP with references of the prior are necessary conditions only."""
    for seed in range(3):
        found = every_test(model, IgnoresImages(model), seed=seed)
        assert found["dimensions"].p_value > 1e-3
        assert found["densities"].p_value > 1e-3
        assert found["tarp, prior"].p_value > 1e-3
        assert found["tarp"].p_value < 1e-10
        assert found["tarp"].p_values[0] < 1e-10
        assert found["log_joint"].p_value < 1e-10


def test_own_quantities_are_functions_of_x_and_z(model):
    of = simulated(model, Scaled(model, 0.5), 400, 199)
    quantities = {
        "first": lambda x, z: z[..., 0],
        "brightness": lambda x, z: x.flatten(1).mean(-1).expand(z.shape[:-1]),
    }
    found = rank_quantities(of, quantities)
    assert found.names == ("first", "brightness")
    torch.testing.assert_close(found.ranks[:, 0], rank_dimensions(of).ranks[:, 0])
    # a quantity of x alone is the same for all z: ties, broken at random, are uniform
    assert found.p_values[1] > 1e-3
    assert found.ranks[:, 1].double().mean().item() == pytest.approx(99.5, abs=4 * 58 / 20)
    with pytest.raises(ValueError, match="not a number each"):
        rank_quantities(of, {"all": lambda x, z: z})


def test_what_a_guide_cannot_give_is_refused_in_words_and_the_rest_is_not(model):
    for guide, words in ((OwnSamplesOnly(model), "scores only its own samples"), (Point(model), "has none")):
        of = simulated(model, guide, 100, 19)
        with pytest.raises(NotDefined, match=words):
            rank_densities(guide, of)
        assert isinstance(rank_dimensions(of), RankTest)
        assert tarp(model, of).names == ("all dimensions", "z_1", "z_2", "z_3")


def test_the_seed_repeats_and_coverage_hits_its_levels_exactly(model):
    first, again, other = (every_test(model, Scaled(model), 100, seed) for seed in (1, 1, 2))
    for name in first:
        assert (first[name].ranks == again[name].ranks).all()
        assert (first[name].ranks != other[name].ranks).any()
    ranks = torch.arange(200)[:, None]
    assert coverage_at(rank_test(["a"], ranks, 199), 0.9).value == pytest.approx(0.9)
    assert coverage_at(rank_test(["a"], ranks, 199), 0.5).value == pytest.approx(0.5)
