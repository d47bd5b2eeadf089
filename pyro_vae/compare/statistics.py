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

Pairing takes away what is common to both arms: the images' own difficulty, the first weights, the order of batches.
"""

from typing import Literal, NamedTuple

import numpy as np
from scipy import optimize, special, stats

RESAMPLES = 4999
Verdict = Literal["higher", "lower", "no difference shown"]


class Interval(NamedTuple):
    """A mean over seeds and images, nats per image, with the ends of its confidence interval.

    Attributes:
        seed_error: the standard error that the spread of the seeds gives; None with a single seed.
        image_error: the standard error that the spread of the images gives.
    """

    value: float
    low: float
    high: float
    confidence: float
    seeds: int
    images: int
    seed_error: float | None
    image_error: float

    @property
    def verdict(self) -> Verdict:
        """What the interval shows where the figure is a difference."""
        if self.low > 0:
            return "higher"
        return "lower" if self.high < 0 else "no difference shown"


def interval(values: np.ndarray, confidence: float = 0.95, resamples: int = RESAMPLES) -> Interval:
    """The mean of ``values``, ``(seeds, images)``, and its interval; see the head of this module.

    With a single seed there is nothing to tell how another training would have ended: the interval is then one over
    images for this very training, and too narrow for any other use.

    Raises:
        ValueError: where there are fewer than two images, or a value is not finite.
    """
    values = np.asarray(values, dtype=float)
    seeds, images = values.shape
    if images < 2 or not np.isfinite(values).all():
        raise ValueError(f"an interval needs two images and finite values, not {values.shape}")
    value, of_images = values.mean(), values.mean(0)
    image_error = of_images.std(ddof=1) / np.sqrt(images)
    seed_error = values.mean(1).std(ddof=1) / np.sqrt(seeds) if seeds > 1 else None
    # scipy wants some spread; two copies of one run have none.
    centres = np.full(1, value) if image_error == 0 else _bootstrap_of_mean(of_images, resamples)
    tail = (1 - confidence) / 2
    low, high = (_quantile(centres, seed_error or 0.0, seeds - 1, p) for p in (tail, 1 - tail))
    return Interval(value, low, high, confidence, seeds, images, seed_error, image_error)


def difference(ours: np.ndarray, baseline: np.ndarray, confidence: float = 0.95, comparisons: int = 1) -> Interval:
    """The paired difference of two arms, each ``(seeds, images)`` with the same seeds and images.

    Args:
        confidence: with which all the ``comparisons`` that are shown together hold (Bonferroni's correction).
    """
    return interval(np.asarray(ours) - np.asarray(baseline), 1 - (1 - confidence) / comparisons)


def _bootstrap_of_mean(x: np.ndarray, resamples: int) -> np.ndarray:
    """Means of resampled ``x``, ``(resamples,)``."""
    batch = max(1, 5_000_000 // len(x))
    found = stats.bootstrap((x,), np.mean, n_resamples=resamples, batch=batch, method="percentile", rng=0)
    return found.bootstrap_distribution


def _quantile(centres: np.ndarray, scale: float, freedom: int, p: float) -> float:
    """The p-quantile of the mixture of Student t distributions of this scale around the centres."""
    if scale == 0:
        return float(np.quantile(centres, p))
    reach = scale * special.stdtrit(freedom, p)
    ends = (centres.min() + reach, centres.max() + reach)
    if ends[0] == ends[1]:
        return float(ends[0])
    return optimize.brentq(lambda x: special.stdtr(freedom, (x - centres) / scale).mean() - p, *ends)


def ranks(means: np.ndarray) -> np.ndarray:
    """The rank of each arm in each seed, 1 for the highest, ties shared; ``(arms, seeds)`` to ``(arms, seeds)``.

    >>> ranks(np.array([[-99.0, -98.0], [-97.0, -99.0]]))
    array([[2., 1.],
           [1., 2.]])
    """
    return stats.rankdata(-means, axis=0)
