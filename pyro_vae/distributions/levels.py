"""Pixels of few evenly spaced values 0, 1/(L-1), ..., 1: distributions whose masses sum to one."""

from abc import abstractmethod
from math import lgamma
from typing import Any

import torch
import torch.nn.functional as F
from pyro.distributions import BetaBinomial as CountBetaBinomial
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import Categorical, constraints


class OnLevels(TorchDistribution):
    """A distribution over L levels from 0 to 1; a value between two levels counts as the nearer one.

    Args:
        levels: L.
        parameters: broadcast to one shape, the batch_shape.
    """

    arg_constraints = {}  # noqa: RUF012 (torch reads it from the class)
    support = constraints.unit_interval

    def __init__(self, levels: int, *parameters: Tensor):
        self.levels, self.parameters = levels, torch.broadcast_tensors(*parameters)
        super().__init__(self.parameters[0].shape, torch.Size(), validate_args=False)

    @abstractmethod
    def log_prob(self, value: Tensor) -> Tensor:
        """Nats, of the broadcast shape of ``value`` and the parameters."""

    @property
    def values(self) -> Tensor:
        """The levels, ``(L, 1, ..., 1)``."""
        values = torch.linspace(0, 1, self.levels, dtype=self.parameters[0].dtype, device=self.parameters[0].device)
        return values.reshape(-1, *[1] * len(self.batch_shape))

    def log_masses(self) -> Tensor:
        """Of each level, ``(L, *batch_shape)``."""
        return self.log_prob(self.values)

    @property
    def mean(self) -> Tensor:
        return (self.log_masses().exp() * self.values).sum(0)

    @property
    def variance(self) -> Tensor:
        return (self.log_masses().exp() * (self.values - self.mean).square()).sum(0)

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        drawn = Categorical(logits=self.log_masses().movedim(0, -1)).sample(torch.Size(sample_shape))
        return drawn.to(self.parameters[0].dtype) / (self.levels - 1)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "OnLevels":
        return type(self)(self.levels, *(p.expand(batch_shape) for p in self.parameters))


class DiscretizedLogistic(OnLevels):
    """A logistic variable, rounded to the nearest level; what lies beyond 0 and 1 counts as 0 and 1.

    Args:
        levels: L.
        location, scale: of the logistic variable.

    References:
        Kingma et al. 2016, Improving Variational Inference with Inverse Autoregressive Flow, appendix A, with bins
        around the levels and the tails in the outer ones (Salimans et al. 2017, PixelCNN++, equation 2), so that the
        masses sum to one.
    """

    def log_prob(self, value: Tensor) -> Tensor:
        location, scale = self.parameters
        width = 1 / (self.levels - 1)
        value = (value * (self.levels - 1)).round() * width
        above, below = (value + width / 2 - location) / scale, (value - width / 2 - location) / scale
        # s(a) - s(b) = s(a) s(-b) (1 - exp(b - a)): no difference of nearly equal numbers
        inner = -F.softplus(-above) - F.softplus(below) + torch.log(-torch.expm1(-width / scale))
        outer = torch.where(value < width / 2, -F.softplus(-above), -F.softplus(below))
        return torch.where((value < width / 2) | (value > 1 - width / 2), outer, inner)

    @property
    def mean(self) -> Tensor:
        """The sum of the survival function over the gaps; beyond 256 levels, its integral from 0 to 1."""
        location, scale = self.parameters
        if self.levels > 256:
            return scale * (F.softplus(location / scale) - F.softplus((location - 1) / scale))
        width = 1 / (self.levels - 1)
        total = torch.zeros_like(location)
        for k in range(self.levels - 1):
            total = total + torch.sigmoid((location - (k + 0.5) * width) / scale)
        return total * width

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        location, scale = self.parameters
        uniform = torch.rand(torch.Size(sample_shape) + self.batch_shape, dtype=location.dtype, device=location.device)
        drawn = location + scale * torch.logit(uniform, 1e-7)
        return (drawn * (self.levels - 1)).round().clamp(0, self.levels - 1) / (self.levels - 1)


class BetaBinomial(OnLevels):
    """The number of successes in L - 1 trials whose probability has a beta distribution, divided by L - 1.

    Args:
        levels: L.
        alpha, beta: of the beta distribution.
    """

    def log_prob(self, value: Tensor) -> Tensor:
        """Nats, by way of double precision: log-gammas of thousands of levels cancel to whole percents in single."""
        kind = torch.result_type(value, self.parameters[0])
        alpha, beta = (parameter.double() for parameter in self.parameters)
        n = self.levels - 1
        k = (value * n).round().double()
        ways = lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
        ends = torch.lgamma(k + alpha) - torch.lgamma(alpha) + torch.lgamma(n - k + beta) - torch.lgamma(beta)
        return (ways + ends + torch.lgamma(alpha + beta) - torch.lgamma(alpha + beta + n)).to(kind)

    @property
    def mean(self) -> Tensor:
        alpha, beta = self.parameters
        return alpha / (alpha + beta)

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        alpha, beta = self.parameters
        counts = CountBetaBinomial(alpha, beta, self.levels - 1, validate_args=False)
        return counts.sample(torch.Size(sample_shape)) / (self.levels - 1)


class CategoricalLevels(OnLevels):
    """A mass for each level.

    Args:
        logits: unnormalised log masses of the L levels, ``(L, *batch_shape)``.
    """

    def __init__(self, logits: Tensor):
        super().__init__(len(logits), logits[0])
        self._log_masses = logits.log_softmax(0)

    def log_masses(self) -> Tensor:
        return self._log_masses

    def log_prob(self, value: Tensor) -> Tensor:
        index = (value * (self.levels - 1)).round().to(torch.int64)
        shape = torch.broadcast_shapes(index.shape, self.batch_shape)
        masses = self._log_masses.reshape(self.levels, *[1] * (len(shape) - len(self.batch_shape)), *self.batch_shape)
        return masses.expand(self.levels, *shape).gather(0, index.expand(shape)[None])[0]

    def expand(self, batch_shape: Any, _instance: Any = None) -> "CategoricalLevels":
        new = [1] * (len(batch_shape) - len(self.batch_shape))  # between the levels and the own dimensions
        masses = self._log_masses.reshape(self.levels, *new, *self.batch_shape)
        return CategoricalLevels(masses.expand(self.levels, *batch_shape))
