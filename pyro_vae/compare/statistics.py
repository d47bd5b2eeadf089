r"""Paired differences with intervals, and ranks.

Let :math:`d_{si}` be the difference of two arms on test image i after training with seed s, nats per image. What is
asked for is its mean over all seeds and all images like these, so there are two sources of error. Each is
treated as its number allows:

- **Images** are many. The seeds' mean difference of each image is resampled (``scipy.stats.bootstrap``), which assumes
  nothing about its distribution.
- **Seeds** are few. Resampling three of them gives an interval that cannot be wider than their range, which misses the
  median one time in four, at whatever confidence. So the seeds' mean differences are taken as normal, which makes their
  mean a Student t with S - 1 degrees of freedom.

The two are independent, and the interval is that of their sum: each bootstrap replicate is the centre of a Student t,
and the quantiles are those of the mixture. This is the Behrens-Fisher problem and its fiducial answer, which is on the
safe side: where both errors matter it covers the truth somewhat more often than it says, also because what seeds and
images have in common is counted in both. The tests measure how often.

Where a grid has four arms or more, they know their seeds' spread together (:mod:`pyro_vae.compare.pooling`).

Pairing takes away what is common to both arms: the images' own difficulty, the first weights, the order of batches.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import scipy  # its stats, which take a second to import, come when they are used

from pyro_vae.compare.pooling import Claim, Pool, critical_value, detectable, pool, seeds_needed

RESAMPLES = 4999
Values = Mapping[str, Mapping[int, np.ndarray]]  #: of each arm, by seed, the figure of each image, ``(images,)``
Verdict = Literal["higher", "lower", "no difference shown"]


class Shared(NamedTuple):
    """What the arms of a grid know together of one difference: their pool, and the rows of both arms in it."""

    pool: Pool
    arm: int
    baseline: int


class Interval(NamedTuple):
    """A mean over seeds and images, nats per image, with the ends of its confidence interval.

    Attributes:
        seed_error: the standard error that the spread of the seeds gives, widened for a wild arm where it is pooled;
            None with a single seed.
        image_error: the standard error that the spread of the images gives.
        pooled: how many arms have given the spread of the seeds; 1 where it is that of these values alone.
        smallest: of a difference: the smallest that would have been shown with power 0.8; None with a single seed.
        more_seeds: of a difference that was not shown: how many seeds would show the one seen; None where none would.
    """

    value: float
    low: float
    high: float
    confidence: float
    seeds: int
    images: int
    seed_error: float | None
    image_error: float
    pooled: int = 1
    smallest: float | None = None
    more_seeds: int | None = None

    @property
    def verdict(self) -> Verdict:
        """What the interval shows where the figure is a difference."""
        if self.low > 0:
            return "higher"
        return "lower" if self.high < 0 else "no difference shown"


def interval(
    values: np.ndarray,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    pooled: tuple[float, int] | None = None,
) -> Interval:
    """The mean of ``values``, ``(seeds, images)``, and its interval; see the head of this module.

    Args:
        pooled: the standard error from seeds and its degrees of freedom, where other arms know it better.

    With a single seed there is nothing to tell how another training would have ended: the interval is then one over
    images for this very training, and too narrow for any other use.

    Raises:
        ValueError: if there are fewer than two images, or a value is not finite.
    """
    values = np.asarray(values, dtype=float)
    seeds, images = values.shape
    if images < 2 or not np.isfinite(values).all():
        raise ValueError(f"an interval needs two images and finite values, not {values.shape}")
    value, of_images = values.mean(), values.mean(0)
    image_error = of_images.std(ddof=1) / np.sqrt(images)
    seed_error = values.mean(1).std(ddof=1) / np.sqrt(seeds) if seeds > 1 else None
    freedom = seeds - 1
    if pooled is not None:
        seed_error, freedom = pooled
    # scipy wants some spread; two copies of one run have none.
    centres = np.full(1, value) if image_error == 0 else _bootstrap_of_mean(of_images, resamples)
    tail = (1 - confidence) / 2
    low, high = (_quantile(centres, seed_error or 0.0, freedom, p) for p in (tail, 1 - tail))
    return Interval(value, low, high, confidence, seeds, images, seed_error, image_error)


def difference(
    ours: np.ndarray,
    baseline: np.ndarray,
    confidence: float = 0.95,
    comparisons: int = 1,
    shared: Shared | None = None,
) -> Interval:
    """The paired difference of two arms, each ``(seeds, images)`` with the same seeds and images.

    Args:
        confidence: with which all the ``comparisons`` that are shown together hold.
        shared: what the arms of the grid say together of the seeds. Without it the two arms stand for themselves, and
            the correction is Bonferroni's.
    """
    values = np.asarray(ours) - np.asarray(baseline)
    claim = Claim(2 if shared is None else len(shared.pool.excess), len(values), comparisons, confidence)
    if claim.seeds < 2:
        return interval(values, 1 - (1 - confidence) / comparisons)
    if shared is None:
        critical, error = claim.bonferroni(), None
        variance = widened = values.mean(1).var(ddof=1)
    else:
        together = 1 - (1 - confidence) * (claim.arms - 1) / comparisons  # the others have their part by Bonferroni
        critical = critical_value(claim.arms, claim.seeds, together)
        variance = 2 * shared.pool.variance
        widened = shared.pool.widened(shared.arm, shared.baseline)
        error = (float(np.sqrt(widened / claim.seeds)), claim.freedom)
    found = interval(values, 1 - 2 * scipy.special.stdtr(claim.freedom, -critical), pooled=error)
    reach = critical * np.hypot(found.seed_error or 0.0, found.image_error)
    of_both = np.hypot(np.sqrt(variance / claim.seeds), found.image_error)
    smallest, more = float(detectable(reach, of_both, claim.freedom)), None
    if found.verdict == "no difference shown" and variance > 0:
        of_seeds = float(critical * np.sqrt(widened / variance))
        more = seeds_needed(claim, found.value, variance, found.image_error, of_seeds)
    return found._replace(pooled=claim.arms if shared else 1, smallest=smallest, more_seeds=more)


def differences(
    values: Values, base: str, confidence: float = 0.95, comparisons: int | None = None
) -> dict[str, Interval]:
    """The paired difference to one arm, for each other arm that shares a seed with it.

    Args:
        values: of each arm, by seed, the figure of each image.
        base: the arm that differences are taken to.
        confidence: with which the intervals hold all together.
        comparisons: how many intervals hold together; by default those to ``base``.
    """
    if comparisons is None:
        comparisons = max(1, sum(bool(of) for arm, of in values.items() if arm != base))
    shared, theirs, found = _shared(values, base), values[base], {}
    for arm, ours in values.items():
        both = [seed for seed in ours if seed in theirs]
        if arm != base and both:
            one, other = (np.stack([side[seed] for seed in both]) for side in (ours, theirs))
            found[arm] = difference(one, other, confidence, comparisons, shared.get(arm))
    return found


def _shared(values: Values, base: str) -> dict[str, Shared]:
    """For the arms that are pooled with the base, what they share.

    Only arms that have the figure for the same seeds are pooled: those of the base.
    """
    seeds = sorted(values[base])
    alike = [arm for arm, of in values.items() if seeds and sorted(of) == seeds]
    found = pool(np.array([[values[arm][seed].mean() for seed in seeds] for arm in alike])) if alike else None
    if found is None:
        return {}
    return {arm: Shared(found, row, alike.index(base)) for row, arm in enumerate(alike) if arm != base}


def _bootstrap_of_mean(x: np.ndarray, resamples: int) -> np.ndarray:
    """Means of resampled ``x``, ``(resamples,)``."""
    batch = max(1, 5_000_000 // len(x))
    found = scipy.stats.bootstrap((x,), np.mean, n_resamples=resamples, batch=batch, method="percentile", rng=0)
    return found.bootstrap_distribution


def _quantile(centres: np.ndarray, scale: float, freedom: int, p: float) -> float:
    """The p-quantile of the mixture of Student t distributions of this scale around the centres."""
    if scale == 0:
        return float(np.quantile(centres, p))
    reach = scale * scipy.special.stdtrit(freedom, p)
    ends = (centres.min() + reach, centres.max() + reach)
    if ends[0] == ends[1]:
        return float(ends[0])
    return scipy.optimize.brentq(lambda x: scipy.special.stdtr(freedom, (x - centres) / scale).mean() - p, *ends)


def ranks(means: np.ndarray) -> np.ndarray:
    """The rank of each arm in each seed, 1 for the highest, ties shared; ``(arms, seeds)`` to ``(arms, seeds)``.

    >>> ranks(np.array([[-99.0, -98.0], [-97.0, -99.0]]))
    array([[2., 1.],
           [1., 2.]])
    """
    return scipy.stats.rankdata(-means, axis=0)
