"""The prior of AEVB."""

import pyro.distributions as dist
import torch
from torch import Tensor

from pyro_vae.models.priors.base import Prior


class StandardNormal(Prior):
    """N(0, I), AEVB's prior."""

    zero: Tensor

    def __init__(self, latent_dim: int):
        super().__init__(latent_dim)
        self.register_buffer("zero", torch.zeros(latent_dim), persistent=False)

    def forward(self) -> dist.TorchDistribution:
        return dist.Normal(self.zero, torch.ones_like(self.zero)).to_event(1)
