"""The band of an ECDF and its p-values hold with the probability that they state, by repetition."""

import numpy as np
import pytest
import torch
from scipy import stats

from pyro_vae.estimators.uniformity import ecdf_band, looked_at, rank_test


@pytest.mark.parametrize(("count", "num_samples"), [(100, 19), (200, 99)])
def test_the_whole_ecdf_is_in_its_band_as_often_as_the_band_says(count, num_samples):
    repeats = 1000
    ranks = torch.randint(0, num_samples + 1, (count, repeats), generator=torch.Generator().manual_seed(0))
    test = rank_test([str(i) for i in range(repeats)], ranks, num_samples)
    band = test.band(0.9)
    outside = ((test.ecdf() < band.low[:, None] - 1e-12) | (test.ecdf() > band.high[:, None] + 1e-12)).any(0)
    low, high = stats.binom.interval(0.999, repeats, 0.1)
    assert low - 15 <= outside.sum() <= high  # the counts are discrete, so that a band may hold a little more often
    assert ((test.p_values <= 0.1).numpy() == outside).mean() > 0.99
    for level in (0.01, 0.05, 0.3, 0.7):
        low, high = stats.binom.interval(0.999, repeats, level)
        assert low - 0.01 * repeats <= (test.p_values <= level).sum().item() <= high


def test_a_band_is_narrower_than_the_one_of_dvoretzky_kiefer_and_wolfowitz_at_the_ends():
    band = ecdf_band(1000, 199, 0.95)
    half = np.sqrt(np.log(2 / 0.05) / (2 * 1000))
    assert ((band.high - band.z) < 1.15 * half).all()
    assert (band.high - band.z)[0] < half / 2
    assert (np.diff(band.low) >= 0).all()
    assert (np.diff(band.high) >= 0).all()
    assert band.level == 0.95
    # a wider band for a higher level
    assert (ecdf_band(1000, 199, 0.99).high >= band.high).all()


def test_the_p_value_of_one_point_is_that_of_the_binomial():
    """With L = 1 the ECDF is looked at in one place, z = 1/2: the two-sided binomial test."""
    for below in (20, 35, 50):
        ranks = torch.cat([torch.zeros(below), torch.ones(100 - below)]).long()[:, None]
        expected = min(1.0, stats.binomtest(below, 100, 0.5).pvalue)
        assert rank_test(["a"], ranks, 1).p_value == pytest.approx(expected, rel=1e-9)
    assert looked_at(1).tolist() == [1]


def test_a_rank_that_is_always_the_same_is_impossible():
    assert rank_test(["a"], torch.zeros(500, 1).long(), 99).p_value == pytest.approx(0, abs=1e-12)
    few = rank_test(["a", "b"], torch.stack([torch.arange(100), torch.zeros(100).long()], 1), 99)
    assert few.p_values[0] == pytest.approx(1)
    assert few.p_value == pytest.approx(2 * few.p_values[1].item())
