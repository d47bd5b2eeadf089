r"""The seeds' variance of a grid, and intervals to a baseline that hold all together though one arm is wild.

Three seeds know a standard deviation badly, and each comparison pays for that; a grid of A arms knows it far better.
Let :math:`m_{as}` be the mean over images of arm a trained with seed s. Seeds are blocks: what a seed does to all arms
alike is taken out. :math:`s^2` is the mean square of what is left, without the arm whose absence makes it smallest.

An arm's spread may be far from the others', and three seeds cannot tell that it is: F with 2 degrees of freedom misses
four times the standard deviation half the time. So nothing is tested. Let :math:`e_a` be the variance of arm a's
distance from the others' mean over what the others' own variance makes of it. A difference of arms a and b has

.. math:: v = 2 s^2 \left(1 + (e_a^{1.75} + e_b^{1.75}) / 6\right) / S

in place of a variance: near :math:`8 s^2 / 3 S` where all arms are alike, and growing fast with what looks wild. The
critical value is the one with which all differences to the baseline hold together in the least favourable grid: all
arms alike, or one of them, the baseline or another, with 2 to 40 times the standard deviation of the others. It is
found by simulation; power 1.75 and divisor 6 gave the most power among those that were tried. What it costs where all
arms are alike, and what it holds, are in RESULTS (``benchmarks.comparisons``).
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import special

LEAST_ARMS = 4  #: of fewer, a pair's own differences know as much
EXCESS_POWER, EXCESS_DIVISOR = 1.75, 6.0
WILD = (1, 2, 3, 4, 6, 12, 40)  #: times the standard deviation of the others: the arms of the least favourable grid
GRIDS = 20_000  #: simulated of each
POWER = 0.8  #: with which a difference is called one that could be shown
MOST_SEEDS = 100  #: more are not proposed


class Pool(NamedTuple):
    """What the arms of a grid say of its seeds.

    Attributes:
        variance: of the mean of one run around what its arm and its seed say, over all arms, nats squared, ``(...)``.
        least: the same without the arm whose absence makes it smallest, ``(...)``.
        excess: of each arm, how many times the variance it has that the others' own one makes of it, ``(..., A)``.
    """

    variance: np.ndarray
    least: np.ndarray
    excess: np.ndarray

    def widened(self, arm: int, baseline: int) -> np.ndarray:
        """In place of the variance of a difference of two runs with one seed: see the head of this module."""
        grown = self.excess[..., arm] ** EXCESS_POWER + self.excess[..., baseline] ** EXCESS_POWER
        return 2 * self.least * (1 + grown / EXCESS_DIVISOR)


def spreads(means: np.ndarray) -> Pool:
    """What ``(..., A, S)`` means of runs say, A at least 3 and S at least 2."""
    arms, seeds = means.shape[-2:]
    left = means - means.mean(-1, keepdims=True)
    left = left - left.mean(-2, keepdims=True)
    own = (left**2).sum(-1) * arms / (arms - 1)  # what leaving out an arm takes from the sum of squares
    every = (left**2).sum((-2, -1))
    others = every[..., None] - own
    freedom = (arms - 2) * (seeds - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = own * (arms - 2) / others
    return Pool(every / ((arms - 1) * (seeds - 1)), others.min(-1) / freedom, excess)


def pool(means: np.ndarray) -> Pool | None:
    """Pool ``(A, S)`` means of runs.

    None where there is nothing to gain, with fewer than :data:`LEAST_ARMS` arms or two seeds, or nothing to know: all
    arms but one are copies of each other, up to a constant.
    """
    arms, seeds = means.shape
    if arms < LEAST_ARMS or seeds < 2:
        return None
    found = spreads(means)
    return found if found.least > 1e-12 * max(1.0, np.square(means).mean()) else None


@lru_cache(maxsize=64)
def critical_value(arms: int, seeds: int, confidence: float = 0.95) -> float:
    """The c below which all ``|difference| / sqrt(widened / S)`` to the baseline stay with this confidence or more.

    The largest over the grids of :data:`WILD`, the wild arm being the baseline or another one; to about 1 %.
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
    """The quantile of the largest standardised difference to arm 0 over grids without any true one."""
    found = spreads(means)
    off = np.abs((means[:, 1:] - means[:, :1]).mean(-1))
    error = np.stack([found.widened(arm, 0) for arm in range(1, means.shape[1])], -1) / means.shape[2]
    return float(np.quantile((off / np.sqrt(error)).max(-1), confidence))


class Claim(NamedTuple):
    """Of how many arms and seeds a claim is made, and of how many comparisons it holds together with which confidence.

    Attributes:
        arms: that know the seeds' spread together; 2 where a pair does alone.
    """

    arms: int
    seeds: int
    comparisons: int
    confidence: float = 0.95

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the seeds' spread."""
        return (self.arms - 1) * (self.seeds - 1)

    def bonferroni(self) -> float:
        """The critical value of Student's t for so many comparisons, whatever they have in common."""
        return float(special.stdtrit(self.freedom, 1 - (1 - self.confidence) / (2 * self.comparisons)))


def detectable(reach: float, error: float, freedom: int) -> float:
    """The smallest difference that is shown with power :data:`POWER`, nats.

    Args:
        reach: half the interval.
        error: the standard error of the difference.
        freedom: its degrees of freedom.
    """
    return reach + error * float(special.stdtrit(freedom, POWER))


def seeds_needed(
    claim: Claim, difference: float, seed_variance: float, image_error: float, critical: float
) -> int | None:
    """About how many seeds would show this difference; None where :data:`MOST_SEEDS` would not.

    Args:
        claim: that is made with the seeds that there are.
        seed_variance: of the difference of two runs with one seed.
        image_error: the part of the standard error that more seeds leave as it is.
        critical: with which the standard error of these seeds is multiplied. How far it is above Bonferroni's, as it
            must be for a wild arm, is taken to fall with the number of seeds, as it does or faster.
    """
    above = critical / claim.bonferroni() - 1
    for seeds in range(claim.seeds + 1, MOST_SEEDS + 1):
        more = claim._replace(seeds=seeds)
        error = np.sqrt(seed_variance / seeds + image_error**2)
        reach = error * more.bonferroni() * (1 + above * claim.seeds / seeds)
        if abs(difference) >= detectable(reach, error, more.freedom):
            return seeds
    return None
