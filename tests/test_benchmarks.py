"""What the benchmarks compute of their own."""

import re

import numpy as np
import pytest
from scipy import stats

from benchmarks import best_power
from benchmarks.best_power import most_power
from benchmarks.evidence_words import in_words as evidence_in_words
from benchmarks.nested import intervals
from benchmarks.small import moved


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


def test_the_sentences_of_the_evidence_are_those_of_its_numbers():
    """IAF is above by its bound and below by log p(x); the certificate of one guide is too wide."""
    rng = np.random.default_rng(0)
    common = rng.normal(-95, 5, 50)

    def of(mean_field, iaf):
        values = {"MeanField": mean_field, "IAF": iaf}
        return {guide: {0: common + value + rng.normal(0, 0.01, 50)} for guide, value in values.items()}

    values = {"log p(x)": of(0.0, -0.5), "IWAE_5000": of(-1.0, -0.5), "ELBO": of(-5.0, -3.0)}
    words = " ".join(evidence_in_words(values, {"MeanField": 0.05, "IAF": 0.2}, "MeanField"))
    assert "By log p(x) the order is MeanField, IAF. By IWAE_5000 the order is IAF, MeanField." in words
    assert "ELBO turns 1 of 1 pairs round: MeanField - IAF -2.0" in words
    assert "(both shown)" in words
    assert (
        "IAF: ELBO +2.00, the sum of the model's gain in log p(x), -0.50 (lower), and of inference's, +2.50." in words
    )
    assert "at most 0.1 nats for all but IAF." in words
    assert "by one seed and 50 images: lower for IAF (-0.50); the intervals are over images alone." in words
    assert words.endswith("One seed: all this is of these very trainings; another seed may turn any of it round.")


def test_several_seeds_are_pooled_and_say_what_they_could_have_shown():
    """Four guides, of which one is 2 nats better; a seed moves all of them by far more than that."""
    rng = np.random.default_rng(0)
    images, seeds = rng.normal(-95, 5, 50), rng.normal(0, 5, 3)

    def of(gain):
        guides = {"MeanField": 0.0, "FullRank": 0.0, "IAF": gain, "NSF": 0.0}
        return {
            guide: {s: images + seeds[s] + value + rng.normal(0, 0.1) + rng.normal(0, 0.1, 50) for s in range(3)}
            for guide, value in guides.items()
        }

    values = {"log p(x)": of(2.0), "ELBO": of(2.0)}
    words = " ".join(evidence_in_words(values, dict.fromkeys(values["ELBO"], 0.05), "MeanField"))
    assert "by 3 seeds, whose variance 4 arms know together, and 50 images: higher for IAF (+" in words
    assert "no difference shown for FullRank" in words
    smallest = float(re.search(r"a difference of ([\d.]+) would have been shown", words)[1])
    assert 0.1 < smallest < 2
    beyond = re.search(r"beyond it\): IAF \+([\d.]+) .* \(higher\), NSF [+-]0\.\d+ .* \(no difference shown\)", words)
    assert float(beyond[1]) == pytest.approx(2, abs=0.5)
    assert "One seed" not in words


def test_the_most_power_is_that_of_the_best_test_where_it_is_known(monkeypatch):
    """Without a wild arm Student's t is the best test; with one, no test of nothing has more than its level."""
    assert most_power(4, 3, 1e-3, 2000) == pytest.approx(0.05, abs=0.001)
    guarded = most_power(4, 3, 5.0, 4000)
    monkeypatch.setattr(best_power, "RATIOS", ())
    alike = most_power(4, 3, 5.0, 4000)
    critical, shift = stats.t.isf(0.025, 6), 5 / (2 / 3) ** 0.5
    assert alike == pytest.approx(stats.nct.sf(critical, 6, shift) + stats.nct.cdf(-critical, 6, shift), abs=0.005)
    assert guarded < alike - 0.05


def test_a_number_is_the_committed_one_within_chance_and_arithmetic():
    committed = [-20.0, -19.0, -21.0, -20.5, -19.5]
    assert not moved(committed, committed)
    assert not moved([value + 0.04 for value in committed], committed)
    assert moved([value + 0.06 for value in committed], committed)
    assert not moved([-19.0, -20.0, -20.5, -21.0, -19.4], committed)
