"""Missing values: NaN leaves the density, by Pyro's mask."""

from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions.utils import _sum_rightmost


class WhereSeen(dist.Independent):
    """A distribution over whole images whose log density counts the values that are seen, and not NaN.

    The missing values are integrated out, which for independent values is to leave them out: Pyro's mask does it, in
    terms, loss and gradient alike. Samples and moments are those of complete images.

    Args:
        values: a distribution over values, batch_shape ``(..., *event)``.
        event_dims: the number of dimensions of an image.
        fill: a number that every value's support holds, or one for each value, ``event``: it stands in the place of a
            missing value, where a density of NaN would make the gradient NaN.

    References:
        Mattei & Frellsen 2019, MIWAE: Deep Generative Modelling and Imputation of Incomplete Data Sets, equation 3.

    Example:
        >>> p = WhereSeen(dist.Normal(torch.zeros(2), 1.0), 1)
        >>> p.log_prob(torch.tensor([0.5, float("nan")])) == dist.Normal(0.0, 1.0).log_prob(torch.tensor(0.5))
        tensor(True)
    """

    def __init__(self, values: dist.TorchDistribution, event_dims: int, fill: float | Tensor = 0.0):
        super().__init__(values, event_dims, validate_args=False)
        self.fill = fill

    def expand(self, batch_shape: Any, _instance: Any = None) -> "WhereSeen":
        """The same with another batch shape."""
        shape = torch.Size(batch_shape) + self.event_shape
        return WhereSeen(self.base_dist.expand(shape), len(self.event_shape), self.fill)

    def log_prob(self, value: Tensor) -> Tensor:
        """Nats, ``(..., *event) -> (...)``."""
        seen = ~value.isnan()
        filled = torch.where(seen, value, self.fill)
        return _sum_rightmost(self.base_dist.mask(seen).log_prob(filled), len(self.event_shape))
