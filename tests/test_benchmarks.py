"""What the benchmarks compute of their own."""

import numpy as np

from benchmarks.nested import intervals


def ends(text: str) -> tuple[float, float]:
    low, high = text.partition("[")[2].rstrip("]").split(", ")
    return float(low), float(high)


def test_the_intervals_of_nested_families_hold_together_as_often_as_they_say():
    """13 guides, 3 seeds and a baseline, all alike but for noise of sd 1.5 and what a seed does to all of them."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        elbos = 1.5 * rng.standard_normal((14, 3)) + 5 * rng.standard_normal(3)
        found.append(all(low <= 0 <= high for low, high in map(ends, intervals(elbos[1:] - elbos[0]))))
    assert 0.92 < np.mean(found) <= 0.99


def test_a_large_difference_is_shown_and_a_small_one_is_not():
    rng = np.random.default_rng(1)
    gains = 1.5 * rng.standard_normal((13, 3)) - 1.5 * rng.standard_normal(3)
    gains[4] += 12
    low, high = ends(intervals(gains)[4])
    assert low > 0
    assert high - low < 12
