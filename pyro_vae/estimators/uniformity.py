r"""Are ranks uniform? A band that the whole ECDF keeps to with a stated probability, and the test that goes with it.

Of N independent ranks that are uniform on 0 to L, the number below j is binomial with probability z = j / (L + 1), for
each j. The numbers at z_1 < z_2 < ... form a Markov chain (Säilynoja, Bürkner & Vehtari 2022, section 2.2):

    N_{i+1} - N_i given N_i is binomial: N - N_i trials of probability (z_{i+1} - z_i) / (1 - z_i).

So the probability that all of them lie within their bounds is a sum that is carried along the chain, exactly. A band of
level 1 - alpha has at each z the central interval of one pointwise level gamma (their equation 6), and gamma is chosen
such that all hold together with probability 1 - alpha.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy  # its stats, which take a second to import, come when they are used
import torch
from scipy.special import gammaln
from torch import Tensor

POINTS = 100  #: at which an ECDF is looked at, or so


class Band(NamedTuple):
    """Where the ECDF of N uniform ranks lies, all of it at once, with a stated probability.

    Attributes:
        z: where the ECDF is looked at, ``(K,)``, within (0, 1).
        low, high: its bounds there, ``(K,)``.
        level: the probability that it is within them everywhere, at least.
    """

    z: np.ndarray
    low: np.ndarray
    high: np.ndarray
    level: float


class RankTest(NamedTuple):
    """Ranks of what made each image among draws of q, column by column.

    Attributes:
        names: of the columns, C of them.
        ranks: ``(N, C)``, 0 to L; uniform where q is the posterior.
        num_samples: L.
        p_values: of the test that the ranks of a column are uniform, by the largest departure of their ECDF, ``(C,)``.
    """

    names: tuple[str, ...]
    ranks: Tensor
    num_samples: int
    p_values: Tensor

    @property
    def p_value(self) -> float:
        """One p-value for all columns, C times the smallest of theirs, which holds however they depend (Bonferroni)."""
        return min(1.0, self.p_values.min().item() * len(self.p_values))

    def band(self, level: float = 0.95) -> Band:
        """The band that holds the whole ECDF of one column with this probability, where q is the posterior."""
        return ecdf_band(len(self.ranks), self.num_samples, level)

    def ecdf(self) -> np.ndarray:
        """The share of images whose rank is below ``z (L + 1)``, at the z of the band: ``(K, C)``."""
        return counts_below(self.ranks, self.num_samples) / len(self.ranks)


def rank_test(names: Sequence[str], ranks: Tensor, num_samples: int) -> RankTest:
    """Test columns of ranks ``(N, C)``, 0 to L, for uniformity.

    References:
        Säilynoja, Bürkner & Vehtari 2022, Graphical Test for Discrete Uniformity and its Applications in
        Goodness-of-Fit Evaluation and Multiple Sample Comparison, Statistics and Computing 32.
    """
    ranks = ranks.cpu()
    counts = counts_below(ranks, num_samples)
    p_values = [_p_value(tuple(column), len(ranks), num_samples) for column in counts.T.tolist()]
    return RankTest(tuple(names), ranks, num_samples, torch.tensor(p_values, dtype=torch.double))


def looked_at(num_samples: int) -> np.ndarray:
    """The whole numbers j at which the share of ranks below j is looked at: evenly spread, within 1 to L."""
    count = min(POINTS, num_samples)
    return np.unique(np.linspace(1, num_samples, count).round().astype(int))


def counts_below(ranks: Tensor, num_samples: int) -> np.ndarray:
    """How many of the ranks ``(N, C)`` are below each of :func:`looked_at`: ``(K, C)``."""
    below = [(ranks < j).sum(0) for j in looked_at(num_samples)]
    return torch.stack(below).numpy()


@lru_cache(maxsize=64)
def ecdf_band(count: int, num_samples: int, level: float = 0.95) -> Band:
    """The simultaneous band of the ECDF of so many uniform ranks among L draws.

    Args:
        count: N.
        num_samples: L.
        level: the probability that the whole ECDF lies within the band; as small as the discrete counts allow.
    """
    z = looked_at(num_samples) / (num_samples + 1)
    inside, outside = 0.0, 1.0  # pointwise tails: the band of the first holds with `level` or more
    for _ in range(25):
        middle = (inside + outside) / 2
        held = _held(count, z, *_bounds(count, z, middle)) >= level
        inside, outside = (middle, outside) if held else (inside, middle)
    low, high = _bounds(count, z, inside)
    return Band(z, low / count, high / count, level)


def _bounds(count: int, z: np.ndarray, tail: float) -> tuple[np.ndarray, np.ndarray]:
    """At each z the least and the most that the count may be where neither tail is below ``tail / 2``."""
    low = scipy.stats.binom.ppf(tail / 2, count, z) if tail > 0 else np.zeros(len(z))
    high = scipy.stats.binom.isf(tail / 2, count, z) if tail > 0 else np.full(len(z), float(count))
    return np.maximum(low, 0).astype(int), np.minimum(high, count).astype(int)


def _p_value(counts: tuple[int, ...], count: int, num_samples: int) -> float:
    """How probable it is for uniform ranks to have, at some z, a tail as small as the smallest of these counts."""
    z = looked_at(num_samples) / (num_samples + 1)
    below, above = scipy.stats.binom.cdf(counts, count, z), scipy.stats.binom.sf(np.array(counts) - 1, count, z)
    tail = 2 * np.minimum(below, above).min()
    if tail >= 1:
        return 1.0
    if tail < 1e-12:
        return 0.0 if tail == 0 else float(min(1.0, tail * len(z)))  # the sum of the tails, which bounds it
    low, high = _bounds(count, z, tail * (1 + 1e-9))
    # a count whose tail is as small as this one is outside, too
    low += scipy.stats.binom.cdf(low, count, z) * 2 <= tail * (1 + 1e-9)
    high -= scipy.stats.binom.sf(high - 1, count, z) * 2 <= tail * (1 + 1e-9)
    return float(min(1.0, max(0.0, 1 - _held(count, z, low, high))))


def _held(count: int, z: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """The probability that the counts of uniform ranks below each z are within ``low`` to ``high``, all of them."""
    log_factorial = gammaln(np.arange(count + 1) + 1.0)
    before, mass, at = np.zeros(1, dtype=int), np.ones(1), 0.0
    for point, least, most in zip(z, low, high, strict=True):
        if least > most:
            return 0.0
        now = np.arange(least, most + 1)
        steps, left = now[None] - before[:, None], count - before[:, None]
        p = (point - at) / (1 - at)
        possible = steps >= 0
        steps = np.where(possible, steps, 0)
        log_p = log_factorial[left] - log_factorial[steps] - log_factorial[left - np.minimum(steps, left)]
        log_p = log_p + steps * np.log(p) + (left - np.minimum(steps, left)) * np.log1p(-p)
        mass = mass @ np.where(possible & (steps <= left), np.exp(log_p), 0.0)
        before, at = now, point
    return float(mass.sum())
