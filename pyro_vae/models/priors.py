"""p(z)."""

from abc import ABC, abstractmethod

import pyro.distributions as dist
import torch
from torch import Tensor, nn


class Prior(nn.Module, ABC):
    """A distribution over the latent space.

    Args:
        latent_dim: the number D of latent dimensions.
    """

    def __init__(self, latent_dim: int):
        super().__init__()
        self.latent_dim = latent_dim

    @abstractmethod
    def forward(self) -> dist.TorchDistribution:
        """p(z): batch_shape ``()``, event_shape ``(D,)``."""


class StandardNormal(Prior):
    """N(0, I), AEVB's prior."""

    zero: Tensor

    def __init__(self, latent_dim: int):
        super().__init__(latent_dim)
        self.register_buffer("zero", torch.zeros(latent_dim), persistent=False)

    def forward(self) -> dist.TorchDistribution:
        return dist.Normal(self.zero, torch.ones_like(self.zero)).to_event(1)
