"""Bits per dimension: a probability of an image in the unit of lossless compression."""

from math import log

from torch import nn


def bits_per_dimension(nats: float, values: float) -> float:
    """A log probability of an image, in nats, as the bits that a code of that length has for each value of the image.

    Args:
        nats: of an image, or the mean of many.
        values: of an image that are seen, or the mean of many; without missing values it is their number.

    >>> bits_per_dimension(-64 * log(16), 64)
    4.0
    """
    return -nats / (values * log(2))


def is_discrete(model: nn.Module) -> bool:
    """Whether p(x|z) is a probability of pixels with few values, and not a density, which has no bits."""
    return getattr(getattr(model, "likelihood", None), "levels", None) is not None
