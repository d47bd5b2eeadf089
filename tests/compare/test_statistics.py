"""The statistics of a comparison: what they claim of simulated test ELBOs whose truth is known."""

import numpy as np
import pytest
from scipy import stats

from pyro_vae.compare.statistics import difference, interval, ranks


def simulate(rng, seeds, images, seed_spread, noise, gain=0.0):
    """Test ELBOs ``(seeds, images)`` of two arms, nats: images differ by tens of nats, alike in both arms."""
    common = rng.normal(-95.0, 15.0, images)
    arms = []
    for extra in (0.0, gain):
        training = rng.normal(0.0, seed_spread, (seeds, 1))
        arms.append(common + training + rng.normal(extra, noise, (seeds, images)))
    return arms


# seeds, images, spread of the seeds' means, spread of single images within a seed (nats)
WORLDS = {
    "seeds and images": (5, 200, 0.1, 1.5),
    "three seeds": (3, 200, 0.1, 1.5),
    "images decide": (3, 200, 0.01, 2.0),
    "seeds decide": (3, 100, 0.5, 0.5),
}

# How often of 100 a nat is found at least. Where seeds differ by half a nat, three of them can seldom show one.
FOUND = {"seeds and images": 98, "three seeds": 90, "images decide": 88, "seeds decide": 12}


@pytest.mark.parametrize("world", WORLDS)
def test_two_copies_are_no_difference_in_95_of_100_and_a_known_nat_is_found(world):
    rng = np.random.default_rng(6)
    copies = found = 0
    for _ in range(100):
        baseline, copy = simulate(rng, *WORLDS[world])
        copies += difference(copy, baseline).verdict == "no difference shown"
        crippled = copy - 1.0
        shown = difference(crippled, baseline)
        found += shown.verdict == "lower"
        assert shown.value == pytest.approx((crippled - baseline).mean())
    assert copies >= 95
    assert found >= FOUND[world]


@pytest.mark.parametrize(("seed_spread", "noise"), [(0.3, 1e-6), (0.05, 2.0), (0.2, 1.0)])
def test_the_interval_covers_the_truth_as_often_as_it_says(seed_spread, noise):
    rng = np.random.default_rng(0)
    times = 600
    covered = 0
    for _ in range(times):
        baseline, other = simulate(rng, 3, 60, seed_spread, noise, gain=0.7)
        shown = interval(other - baseline, 0.9, resamples=499)
        covered += shown.low <= 0.7 <= shown.high
    # four standard deviations of a count with probability 0.9
    assert covered / times >= 0.9 - 4 * (0.9 * 0.1 / times) ** 0.5


def test_where_one_error_is_all_there_is_the_interval_is_the_known_one():
    rng = np.random.default_rng(1)
    means = rng.normal(0.4, 0.2, 4)
    by_seeds = interval(np.tile(means[:, None], (1, 50)), 0.95)
    exact = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert (by_seeds.low, by_seeds.high) == pytest.approx(tuple(exact), abs=1e-8)
    assert by_seeds.image_error == pytest.approx(0, abs=1e-12)

    images = rng.normal(0.4, 2.0, 2000)
    by_images = interval(np.tile(images, (3, 1)), 0.95)
    exact = stats.ttest_1samp(images, 0).confidence_interval(0.95)
    assert (by_images.low, by_images.high) == pytest.approx(tuple(exact), abs=0.006)
    assert by_images.image_error == pytest.approx(stats.sem(images))


def test_a_skewed_difference_has_a_skewed_interval():
    x = np.random.default_rng(2).exponential(1.0, 40) ** 2
    shown = interval(x[None], 0.95)
    assert shown.high - shown.value > 1.1 * (shown.value - shown.low)
    assert shown.seed_error is None


def test_pairing_takes_the_images_out():
    rng = np.random.default_rng(3)
    baseline, other = simulate(rng, 3, 200, 0.02, 0.5, gain=0.5)
    assert difference(other, baseline).verdict == "higher"
    shuffled = other[:, rng.permutation(200)]
    assert difference(shuffled, baseline).verdict == "no difference shown"


def test_several_comparisons_hold_together():
    values = np.random.default_rng(4).normal(0, 1, (3, 100))
    alone, of_four = (difference(values, 0 * values, comparisons=n) for n in (1, 4))
    assert of_four.confidence == pytest.approx(1 - 0.05 / 4)
    assert of_four.low < alone.low < alone.high < of_four.high


def test_the_same_numbers_give_the_same_interval_and_bad_ones_none():
    values = np.random.default_rng(5).normal(0, 1, (3, 100))
    assert interval(values) == interval(values.copy())
    twins = difference(values, values)
    assert (twins.value, twins.low, twins.high, twins.verdict) == (0, 0, 0, "no difference shown")
    with pytest.raises(ValueError, match="two images"):
        interval(values[:, :1])
    values[0, 0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        interval(values)


def test_ranks_are_by_seed_and_ties_share():
    assert ranks(np.array([[-90.0, -91.0], [-92.0, -91.0], [-95.0, -80.0]])).tolist() == [[1, 2.5], [2, 2.5], [3, 1]]
