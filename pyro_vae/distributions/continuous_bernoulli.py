"""The continuous Bernoulli, in its logit."""

import pyro.distributions as dist
import torch
from torch import Tensor

_SERIES = 0.1  # in single precision, the power series is exact below this half logit, the formula above it


class ContinuousBernoulli(dist.ContinuousBernoulli):
    r"""Density :math:`p(x) = e^{\eta x} / \int_0^1 e^{\eta t} dt` on [0, 1] for a logit :math:`\eta`.

    torch computes normaliser, mean and samples from a probability that it keeps away from 0 and 1. In single precision,
    beyond logits of 16, the integral of that density is not one: at 200, the logit of an always black pixel, it is
    0.08. This class computes all three from the logit.

    References:
        Loaiza-Ganem & Cunningham 2019, The Continuous Bernoulli: Fixing a Pervasive Error in Variational Autoencoders,
        equations 6 to 8.
    """

    def log_prob(self, value: Tensor) -> Tensor:
        """Nats, of the broadcast shape of ``value`` and the logits."""
        # The integral is exp(eta / 2) sinh(h) / h with h = |eta| / 2.
        half = self.logits.abs() / 2
        h = torch.where(half < _SERIES, _SERIES, half)  # not clamp, which halves the gradient at its limit
        exact = h + torch.log1p(-torch.exp(-2 * h)) - torch.log(2 * h)
        series = half**2 / 6 - half**4 / 180
        return (value - 0.5) * self.logits - torch.where(half < _SERIES, series, exact)

    @property
    def mean(self) -> Tensor:
        """(1 + coth(eta / 2)) / 2 - 1 / eta, and 1/2 if eta is 0; the shape of the logits."""
        half = self.logits / 2
        h = torch.where(half.abs() < _SERIES, _SERIES, half)
        exact = (1 / torch.tanh(h) - 1 / h) / 2
        return 0.5 + torch.where(half.abs() < _SERIES, half / 6 - half**3 / 90, exact)

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile, for sampling, of the broadcast shape; for a rising density, from its mirror image at 1 - x."""
        rising = self.logits > 0
        slope = -self.logits.abs().clamp_min(1e-6)  # from here on the density is flat to single precision
        tail = torch.where(rising, 1 - value, value)
        quantile = (torch.log1p(tail * torch.expm1(slope)) / slope).clamp_max(1)
        return torch.where(rising, 1 - quantile, quantile)


def logit_of_mean(mean: Tensor, limit: float = 20.0) -> Tensor:
    """The logit whose continuous Bernoulli has this mean, by bisection, clamped to plus or minus ``limit``.

    There is no closed form. At the limit of 20 the mean is 0.95; without a limit, pixels that are black in every
    training image would start at a logit with almost no gradient.
    """
    low = torch.full_like(mean, -limit)
    high = -low
    for _ in range(40):
        middle = (low + high) / 2
        below = ContinuousBernoulli(logits=middle, validate_args=False).mean < mean
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2
