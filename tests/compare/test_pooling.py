"""The pooled statistics of a comparison: Dunnett's values, and what they claim of simulated grids."""

import numpy as np
import pytest
from scipy import special, stats

from benchmarks.comparisons import World, compared
from pyro_vae.compare.analysis import could_have_shown
from pyro_vae.compare.pooling import critical_value, detectable, pool, seeds_needed
from pyro_vae.compare.statistics import Shared, difference


@pytest.mark.parametrize(("comparisons", "freedom"), [(2, 6), (3, 6), (12, 24)])
def test_the_critical_value_is_that_of_the_multivariate_t(comparisons, freedom):
    c = critical_value(comparisons, freedom)
    shape = np.full((comparisons, comparisons), 0.5) + 0.5 * np.eye(comparisons)
    ends = np.full(comparisons, c)
    inside = stats.multivariate_t(shape=shape, df=freedom).cdf(ends, lower_limit=-ends, random_state=0)
    assert inside == pytest.approx(0.95, abs=2e-3)
    assert special.stdtrit(freedom, 0.975) < c < special.stdtrit(freedom, 1 - 0.025 / comparisons)


def test_the_pooled_variance_is_that_of_a_two_way_layout():
    rng = np.random.default_rng(0)
    means = rng.normal(0, 1, (4, 3)) + rng.normal(0, 50, (1, 3)) + rng.normal(0, 50, (4, 1))
    found = pool(means)
    assert found.kept.all()
    assert found.freedom == 6
    many = [pool(rng.normal(0, 0.7, (5, 4))).variance for _ in range(2000)]
    assert np.mean(many) == pytest.approx(0.49, rel=0.06)  # an arm that chance puts aside takes some of it along


def test_an_arm_of_another_spread_is_not_pooled():
    rng = np.random.default_rng(1)
    wild = np.array([1.0, 1.0, 1.0, 1.0, 20.0])[:, None]
    kept = np.array([pool(wild * rng.normal(0, 1, (5, 4))).kept for _ in range(200)])
    assert kept[:, -1].mean() < 0.1
    assert kept[:, :-1].mean() > 0.95


def test_nothing_is_pooled_of_two_arms_or_one_seed():
    assert pool(np.zeros((2, 5))) is None
    assert pool(np.zeros((5, 1))) is None


def test_copies_of_one_run_are_pooled_without_a_spread():
    found = pool(np.tile([1.0, 2.0, 3.0], (4, 1)))
    assert found.kept.all()
    assert found.variance == 0


# 60 grids of 4 arms and 3 seeds; the counts of the full simulation are in RESULTS
def test_a_grid_covers_the_truth_and_shows_a_nat_more_often_than_its_pairs_do():
    world = World(arms=4, seeds=3, seed_spread=0.2, image_noise=0.6, images=100, gain=1.0)
    found = compared(world, 60, np.random.default_rng(2))
    assert found.covered >= 0.90
    assert found.false_alarms <= 0.10
    assert found.power >= 0.9
    assert found.power > found.power_unpooled + 0.2


def test_a_wild_arm_does_not_spoil_the_others():
    world = World(arms=4, seeds=3, seed_spread=0.2, image_noise=0.6, images=100, gain=1.0, wild=4.0)
    found = compared(world, 60, np.random.default_rng(3))
    assert found.covered >= 0.88
    assert found.false_alarms <= 0.12


def test_what_could_have_been_shown_is_shown_four_times_in_five():
    rng = np.random.default_rng(4)
    error, freedom = 0.3, 6
    critical = critical_value(3, freedom)
    smallest = detectable(error, freedom, critical)
    scale = np.sqrt(rng.chisquare(freedom, 20000) / freedom)
    shown = (smallest + error * rng.normal(size=20000)) / (error * scale) > critical
    assert shown.mean() == pytest.approx(0.8, abs=0.03)


def test_so_many_seeds_show_the_difference_and_one_fewer_does_not():
    n = seeds_needed(0.5, 0.2, 0.05, 3, 4)
    assert n is not None
    larger, smaller = (seeds_needed(d, 0.2, 0.05, 3, 4) for d in (1.0, 0.3))
    assert larger < n < smaller
    assert seeds_needed(0.01, 0.2, 0.05, 3, 4) is None


def test_a_difference_says_what_it_is_worth():
    rng = np.random.default_rng(5)
    ours, base = rng.normal(0, 0.3, (2, 3, 1)) + rng.normal(0, 0.5, (2, 3, 200))
    alone = difference(ours, base, comparisons=3)
    assert alone.pooled == 1
    means = rng.normal(0, 0.3, (4, 3))
    shared = difference(ours, base, comparisons=3, shared=Shared(pool(means), 3))
    assert shared.pooled == 4
    assert shared.value == alone.value
    assert shared.smallest < alone.smallest
    words = could_have_shown(shared)
    assert f"{shared.smallest:.2f} would have been" in words
    assert "seeds would show the one seen" in words
    assert could_have_shown(difference(ours[:1], base[:1])) == ""
