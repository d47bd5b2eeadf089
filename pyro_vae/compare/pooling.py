r"""The seeds' variance pooled over the arms of a grid, and intervals to a baseline that hold all together.

Three seeds know a standard deviation badly, and each comparison pays for that; a grid of A arms knows it A - 1 times as
well. Let :math:`m_{as}` be the mean over images of arm a trained with seed s. Seeds are blocks: what a seed does to all
arms alike is taken out, and the mean square of what is left has (A - 1)(S - 1) degrees of freedom. A difference of two
arms has the variance :math:`2 s^2 / S` from seeds.

An arm is not pooled where its spread is far from the others': where the variance over seeds of its distance from the
mean of the other arms is above the 99 % quantile of F of what their own pooled variance says. It is looked at again
without the arm that is farthest, until none is left. Such an arm, and every arm where the baseline is one, is compared
by the spread of its own differences.

The comparisons to one baseline share it, so that their errors have the correlation 1/2; the critical value is that of
the largest of so many absolute values of a multivariate t (Dunnett 1955).
"""

from typing import NamedTuple

import numpy as np
from scipy import optimize, special, stats

LEVEL = 0.99  #: of F, above which an arm's spread is far from the others'
POWER = 0.8  #: with which a difference is called one that could be shown
MOST_SEEDS = 100  #: more are not proposed


class Pool(NamedTuple):
    """What arms that are alike say of the seeds.

    Attributes:
        kept: which arms are pooled, ``(A,)``.
        variance: of the mean of one run around what its arm and its seed say, nats squared.
        freedom: degrees of freedom of the variance.
    """

    kept: np.ndarray
    variance: float
    freedom: int


def pool(means: np.ndarray) -> Pool | None:
    """Pool ``(A, S)`` means of runs; None where fewer than three arms or two seeds leave nothing to gain."""
    arms, seeds = means.shape
    if arms < 3 or seeds < 2:
        return None
    kept = np.ones(arms, dtype=bool)
    while kept.sum() > 2:
        ratios = np.array([_ratio(means, kept, arm) if kept[arm] else 0.0 for arm in range(arms)])
        count = int(kept.sum())
        if ratios.max() <= stats.f.ppf(LEVEL, seeds - 1, (count - 2) * (seeds - 1)):
            break
        kept[ratios.argmax()] = False
    variance, freedom = _interaction(means[kept])
    return Pool(kept, variance, freedom)


def _interaction(means: np.ndarray) -> tuple[float, int]:
    """The mean square of what neither arm nor seed explains, and its degrees of freedom."""
    left = means - means.mean(1, keepdims=True) - means.mean(0, keepdims=True) + means.mean()
    freedom = (means.shape[0] - 1) * (means.shape[1] - 1)
    return float((left**2).sum() / freedom), freedom


def _ratio(means: np.ndarray, kept: np.ndarray, arm: int) -> float:
    """The variance of an arm's distance from the others' mean, over what their own variance makes of it."""
    others = kept.copy()
    others[arm] = False
    expected = _interaction(means[others])[0] * (1 + 1 / others.sum())
    own = (means[arm] - means[others].mean(0)).var(ddof=1)
    return float(own / expected) if expected > 0 else (np.inf if own > 0 else 0.0)


def critical_value(comparisons: int, freedom: float, confidence: float = 0.95) -> float:
    """The c that so many |t|, each two with correlation 1/2, stay below together with this confidence.

    >>> round(critical_value(1, 10), 3), round(critical_value(3, 10), 2)  # Student's t, Dunnett's table
    (2.228, 2.76)
    """
    if comparisons == 1:
        return float(special.stdtrit(freedom, (1 + confidence) / 2))
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    scales = np.sqrt(stats.chi2.ppf((np.arange(1000) + 0.5) / 1000, freedom) / freedom)

    def short_of(c: float) -> float:
        reach = c * np.sqrt(2) * scales[:, None]
        inside = special.ndtr(reach - nodes) - special.ndtr(-reach - nodes)
        return float((inside**comparisons @ weights).mean() - confidence)

    widest = special.stdtrit(freedom, 1 - (1 - confidence) / (2 * comparisons))  # Bonferroni's
    return float(optimize.brentq(short_of, 0.1, 1.01 * widest))


def detectable(error: float, freedom: float, critical: float) -> float:
    """The smallest difference that a comparison of this error shows with power :data:`POWER`, nats."""
    return error * (critical + float(special.stdtrit(freedom, POWER)))


def seeds_needed(
    difference: float, seed_variance: float, image_error: float, comparisons: int, arms: int, confidence: float = 0.95
) -> int | None:
    """How many seeds would show this difference; None where :data:`MOST_SEEDS` would not.

    Args:
        seed_variance: of the difference of two runs with one seed.
        image_error: the part of the standard error that more seeds leave as it is.
        arms: whose variance is pooled.
    """
    for seeds in range(2, MOST_SEEDS + 1):
        freedom = (arms - 1) * (seeds - 1)
        error = np.sqrt(seed_variance / seeds + image_error**2)
        critical = special.stdtrit(freedom, 1 - (1 - confidence) / (2 * comparisons))
        if abs(difference) >= detectable(error, freedom, critical):
            return seeds
    return None
