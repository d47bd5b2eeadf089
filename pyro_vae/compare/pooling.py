r"""Simultaneous intervals for differences to a baseline, with the seeds' variance pooled over the arms of a grid.

The intervals hold even if one arm has a much larger variance than the others. Three seeds estimate a standard deviation
badly, and every interval becomes wider; a grid of A arms estimates it far better. Let :math:`m_{as}` be the mean over
images of arm a, trained with seed s. Seeds are blocks: the effect of a seed on all arms is subtracted. :math:`s^2` is
the mean square of the residuals without one arm, the arm whose removal makes it smallest.

The variance of one arm may differ much from the others', but three seeds cannot show it: an F test with 2 degrees of
freedom misses four times the standard deviation half the time. So there is no test. Let :math:`e_a` be the variance of
arm a's distance from the mean of the other arms, divided by the expectation of this variance from the other arms alone.
The variance of a difference of arms a and b is replaced by

.. math:: v = 2 s^2 \left(1 + (e_a^{1.75} + e_b^{1.75}) / 6\right) / S,

which is near :math:`8 s^2 / 3 S` if all arms have the same variance, and grows fast with :math:`e`. With the critical
value, all differences to the baseline hold together in the least favourable grid: all arms have the same standard
deviation, or one arm (the baseline or another) has 2 to 40 times that of the others. Simulation gives this value.
The exponent 1.75 and the divisor 6 gave the most statistical power of those that were tried. RESULTS
(``benchmarks.comparisons``) gives the coverage, the cost if all arms are alike, and a bound on the power of any test
that allows for a wild arm.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy  # its parts come when they are used

LEAST_ARMS = 4  #: with fewer arms, a pair's own differences tell as much
EXCESS_POWER, EXCESS_DIVISOR = 1.75, 6.0
WILD = (1, 2, 3, 4, 6, 12, 40)  #: the standard deviation of the wild arm, in units of the others'
GRIDS = 20_000  #: simulated for each
POWER = 0.8  #: the probability that a detectable difference is shown
MOST_SEEDS = 100  #: the largest number of seeds that is proposed


class Pool(NamedTuple):
    """The variance between runs of a grid, after the effects of arms and seeds.

    Attributes:
        variance: the residual variance of the mean of one run, over all arms, nats squared, ``(...)``.
        least: the same without one arm, the arm whose removal makes it smallest, ``(...)``.
        excess: e of each arm, the ratio of its variance to the expectation from the other arms, ``(..., A)``.
    """

    variance: np.ndarray
    least: np.ndarray
    excess: np.ndarray

    def widened(self, arm: int, baseline: int) -> np.ndarray:
        """S v of this module's docstring: a variance for a difference of two runs with the same seed, nats squared."""
        grown = self.excess[..., arm] ** EXCESS_POWER + self.excess[..., baseline] ** EXCESS_POWER
        return 2 * self.least * (1 + grown / EXCESS_DIVISOR)


def spreads(means: np.ndarray) -> Pool:
    """The :class:`Pool` of ``(..., A, S)`` means of runs, in nats; A is at least 3 and S at least 2."""
    arms, seeds = means.shape[-2:]
    left = means - means.mean(-1, keepdims=True)
    left = left - left.mean(-2, keepdims=True)
    own = (left**2).sum(-1) * arms / (arms - 1)  # the removal of an arm reduces the sum of squares by this
    every = (left**2).sum((-2, -1))
    others = every[..., None] - own
    freedom = (arms - 2) * (seeds - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = own * (arms - 2) / others
    return Pool(every / ((arms - 1) * (seeds - 1)), others.min(-1) / freedom, excess)


def pool(means: np.ndarray) -> Pool | None:
    """The :class:`Pool` of ``(A, S)`` means of runs, in nats.

    None if there are fewer than :data:`LEAST_ARMS` arms or fewer than two seeds, or if all arms except one are copies
    of each other up to a constant, so that ``least`` is zero.
    """
    arms, seeds = means.shape
    if arms < LEAST_ARMS or seeds < 2:
        return None
    found = spreads(means)
    return found if found.least > 1e-12 * max(1.0, np.square(means).mean()) else None


@lru_cache(maxsize=64)
def critical_value(arms: int, seeds: int, confidence: float = 0.95) -> float:
    """The c above all ``|difference| / sqrt(widened / S)`` to the baseline with at least this confidence.

    It is the largest c over the grids of :data:`WILD`, with the baseline or another arm as the wild one. The error of
    the simulation is about 1 %.
    """
    runs = np.random.default_rng(0).standard_normal((GRIDS, arms, seeds))
    worst = 0.0
    for times in WILD:
        for wild in (0, 1) if times > 1 else (0,):
            scale = np.ones((arms, 1))
            scale[wild] = times
            worst = max(worst, _critical_of(scale * runs, confidence))
    return worst


def _critical_of(means: np.ndarray, confidence: float) -> float:
    """The quantile of the largest standardised difference to arm 0, over grids whose true differences are all zero."""
    found = spreads(means)
    off = np.abs((means[:, 1:] - means[:, :1]).mean(-1))
    error = np.stack([found.widened(arm, 0) for arm in range(1, means.shape[1])], -1) / means.shape[2]
    return float(np.quantile((off / np.sqrt(error)).max(-1), confidence))


class Claim(NamedTuple):
    """The basis of simultaneous intervals.

    Attributes:
        arms: the number of arms that estimate the seeds' variance; 2 for a pair alone.
        seeds: the number of seeds.
        comparisons: the number of intervals that hold together.
        confidence: the probability that all of them hold.
    """

    arms: int
    seeds: int
    comparisons: int
    confidence: float = 0.95

    @property
    def freedom(self) -> int:
        """The degrees of freedom of the seeds' variance."""
        return (self.arms - 1) * (self.seeds - 1)

    def bonferroni(self) -> float:
        """Bonferroni's critical value of Student's t; it holds for any dependence of the comparisons."""
        return float(scipy.special.stdtrit(self.freedom, 1 - (1 - self.confidence) / (2 * self.comparisons)))


def detectable(reach: float, error: float, freedom: int) -> float:
    """The smallest difference that is shown with probability :data:`POWER`, nats.

    Args:
        reach: half the width of the interval, nats.
        error: the standard error of the difference, nats.
        freedom: the degrees of freedom of the standard error.
    """
    return reach + error * float(scipy.special.stdtrit(freedom, POWER))


def seeds_needed(
    claim: Claim, difference: float, seed_variance: float, image_error: float, critical: float
) -> int | None:
    """About how many seeds would show this difference; None if :data:`MOST_SEEDS` seeds would not.

    Args:
        claim: of the present seeds.
        difference: nats.
        seed_variance: the variance of the difference of two runs with the same seed, nats squared.
        image_error: the part of the standard error that does not fall with more seeds, nats.
        critical: the critical value of the present seeds. Because of a possible wild arm it is above Bonferroni's. This
            excess is assumed to fall as one over the number of seeds; the true excess falls as fast or faster.
    """
    above = critical / claim.bonferroni() - 1
    for seeds in range(claim.seeds + 1, MOST_SEEDS + 1):
        more = claim._replace(seeds=seeds)
        error = np.sqrt(seed_variance / seeds + image_error**2)
        reach = error * more.bonferroni() * (1 + above * claim.seeds / seeds)
        if abs(difference) >= detectable(reach, error, more.freedom):
            return seeds
    return None
