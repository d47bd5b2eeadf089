"""What the benchmarks compute of their own."""

from typing import NamedTuple

import numpy as np

from benchmarks.evidence import in_words as evidence_in_words
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


def test_the_sentences_of_the_evidence_are_those_of_its_numbers():
    """IAF is above by its bound and below by log p(x); the certificate of one guide is too wide."""
    rng = np.random.default_rng(0)
    common = rng.normal(-95, 5, (1, 50))

    class Fake(NamedTuple):
        guide: str
        values: dict
        certified_to: float
        folders: tuple = ("one",)

        def per_image(self, figure):
            return common + self.values[figure] + rng.normal(0, 0.01, (1, 50))

    guides = [
        Fake("MeanField", {"log p(x)": 0.0, "IWAE_5000": -1.0, "ELBO": -5.0}, 0.05),
        Fake("IAF", {"log p(x)": -0.5, "IWAE_5000": -0.5, "ELBO": -3.0}, 0.2),
    ]
    words = " ".join(evidence_in_words(guides, guides[0]))
    assert "By log p(x) the order is MeanField, IAF. By IWAE_5000 the order is IAF, MeanField." in words
    assert "ELBO turns 1 of 1 pairs round: MeanField - IAF -2.0" in words
    assert "(both shown)" in words
    assert (
        "IAF: ELBO +2.00, the sum of the model's gain in log p(x), -0.50 (lower), and of inference's, +2.50." in words
    )
    assert "at most 0.1 nats for all but IAF." in words
    assert words.endswith("One seed: all this is of these very trainings; another seed may turn any of it round.")
