"""The pooled statistics of a comparison: Dunnett's values, and what they claim of simulated grids."""

import numpy as np
import pytest

from benchmarks.comparisons import World, compared
from pyro_vae.compare.pooling import Claim, critical_value, detectable, pool, seeds_needed, spreads
from pyro_vae.compare.statistics import Shared, difference


def test_the_critical_value_holds_together_in_the_least_favourable_grid():
    """Own draws of grids that are alike, or one of whose arms, the baseline or another, is wild."""
    c, rng = critical_value(5, 3), np.random.default_rng(0)
    held = {}
    for times in (1, 3, 5, 20):
        for wild in (0, 4):
            scale = np.ones((5, 1))
            scale[wild] = times
            means = scale * rng.normal(0, 0.3, (4000, 5, 3)) + rng.normal(0, 50, (4000, 1, 3))
            found = spreads(means)
            off = np.abs((means - means[:, :1]).mean(-1))
            reach = c * np.sqrt(np.stack([found.widened(arm, 0) for arm in range(5)], -1) / 3)
            held[times, wild] = (off < reach).all(-1).mean()
    assert all(share > 0.94 for share in held.values()), held
    assert min(held.values()) < 0.965, held  # and no more than it must


def test_the_spreads_are_those_of_a_two_way_layout_with_and_without_each_arm():
    means = np.random.default_rng(1).normal(0, 1, (5, 4)) * np.array([1, 1, 2, 1, 5])[:, None]
    found = spreads(means)

    def mean_square(rows):
        left = rows - rows.mean(1, keepdims=True) - rows.mean(0) + rows.mean()
        return (left**2).sum() / ((rows.shape[0] - 1) * (rows.shape[1] - 1))

    others = [np.delete(means, arm, 0) for arm in range(5)]
    distance = [(means[arm] - others[arm].mean(0)).var(ddof=1) for arm in range(5)]
    expected = [d / (mean_square(rows) * 1.25) for d, rows in zip(distance, others, strict=True)]
    assert found.variance == pytest.approx(mean_square(means))
    assert found.least == pytest.approx(min(map(mean_square, others)))
    np.testing.assert_allclose(found.excess, expected)
    many = np.random.default_rng(2).normal(0, 0.7, (5000, 5, 4))
    assert spreads(many).variance.mean() == pytest.approx(0.49, rel=0.03)


def test_seeds_that_move_all_arms_alike_are_no_spread():
    rng = np.random.default_rng(3)
    means, shift = rng.normal(0, 1, (6, 3)), rng.normal(0, 50, (1, 3)) + rng.normal(0, 50, (6, 1))
    for one, other in zip(spreads(means), spreads(means + shift), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_a_wild_arm_has_a_wide_interval_and_leaves_the_others_alone():
    rng = np.random.default_rng(4)
    alike = rng.normal(0, 1, (5, 4))
    wild = alike.copy()
    wild[4] *= 20
    before, after = spreads(alike), spreads(wild)
    assert after.widened(4, 0) > 50 * before.widened(4, 0)
    assert after.widened(1, 0) < 3 * before.widened(1, 0)


def test_nothing_is_pooled_of_three_arms_or_one_seed_or_copies_of_one_run():
    assert pool(np.random.default_rng(0).normal(size=(3, 5))) is None
    assert pool(np.zeros((5, 1))) is None
    assert pool(np.tile([1.0, 2.0, 3.0], (4, 1))) is None


# 60 grids of 4 arms and 3 seeds; the counts of the full simulation are in RESULTS
def test_a_grid_covers_the_truth_and_shows_a_nat_more_often_than_its_pairs_do():
    world = World(arms=4, seeds=3, seed_spread=0.2, image_noise=0.6, images=100, gain=1.0)
    found = compared(world, 60, np.random.default_rng(2))
    assert found.covered >= 0.90
    assert found.false_alarms <= 0.10
    assert found.power > found.power_alone + 0.15


@pytest.mark.parametrize("which", [0, 1])
def test_a_wild_arm_does_not_spoil_the_claim(which):
    world = World(arms=4, seeds=3, seed_spread=0.2, image_noise=0.6, images=100, gain=1.0, wild=4.0, which=which)
    found = compared(world, 60, np.random.default_rng(3))
    assert found.covered >= 0.88
    assert found.false_alarms <= 0.10


def test_what_could_have_been_shown_is_shown_four_times_in_five():
    rng = np.random.default_rng(4)
    error, freedom = 0.3, 6
    critical = Claim(4, 3, 3).bonferroni()
    smallest = detectable(critical * error, error, freedom)
    scale = np.sqrt(rng.chisquare(freedom, 20000) / freedom)
    shown = (smallest + error * rng.normal(size=20000)) / (error * scale) > critical
    assert shown.mean() == pytest.approx(0.8, abs=0.03)


def test_so_many_seeds_show_the_difference_and_one_fewer_does_not():
    def needed(difference, critical=4.0):
        return seeds_needed(Claim(4, 3, 3), difference, 0.2, 0.05, critical)

    n = needed(0.5)
    assert n is not None
    assert needed(1.0) < n < needed(0.3)
    assert needed(0.5, critical=6.0) > n
    assert needed(0.01) is None


def test_a_difference_says_what_it_is_worth():
    rng = np.random.default_rng(5)
    values = rng.normal(0, 0.3, (4, 3, 1)) + rng.normal(0, 0.5, (4, 3, 200))
    alone = difference(values[1], values[0], comparisons=3)
    assert alone.pooled == 1
    shared = difference(values[1], values[0], comparisons=3, shared=Shared(pool(values.mean(-1)), 1, 0))
    assert shared.pooled == 4
    assert shared.value == alone.value
    assert shared.smallest < alone.smallest
    assert shared.more_seeds is not None
    assert shared.more_seeds > 3  # the three seeds do not show it
    assert difference(values[1][:1], values[0][:1]).smallest is None
