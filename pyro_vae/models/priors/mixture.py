"""The prior that is a mixture of Gaussians."""

from math import log

import pyro.distributions as dist
import torch
from torch import nn

from pyro_vae.models.priors.base import Prior
from pyro_vae.nn import require_positive


class MixturePrior(Prior):
    r"""A learned mixture of diagonal Gaussians, :math:`p(z) = \sum_k \pi_k N(z; m_k, \mathrm{diag}\,s_k^2)`.

    It starts around N(0, I): equal weights, means drawn with a standard deviation of 1/2, and scales that bring the
    variance to 1.

    Args:
        latent_dim: D.
        components: the number K of Gaussians.

    Raises:
        ValueError: if ``components`` is not positive.

    References:
        Dilokthanakul et al. 2016, Deep Unsupervised Clustering with Gaussian Mixture Variational Autoencoders; the
        "MoG" baseline of Tomczak & Welling 2018, section 4.
    """

    def __init__(self, latent_dim: int, components: int = 10):
        require_positive(components=components)
        super().__init__(latent_dim)
        self.logits = nn.Parameter(torch.zeros(components))
        self.loc = nn.Parameter(torch.randn(components, latent_dim) / 2)
        self.log_scale = nn.Parameter(torch.full((components, latent_dim), log(0.75) / 2))

    def forward(self) -> dist.TorchDistribution:
        components = dist.Normal(self.loc, self.log_scale.exp()).to_event(1)
        return dist.MixtureSameFamily(dist.Categorical(logits=self.logits), components)
