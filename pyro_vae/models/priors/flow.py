"""The prior that is a normalising flow."""

import pyro.distributions as dist
import torch
from torch import Tensor

from pyro_vae.distributions.flow import Flow, diagonal, masked_steps
from pyro_vae.models.priors.base import Prior
from pyro_vae.nn import require_positive


class FlowPrior(Prior):
    r"""A masked autoregressive flow over N(0, I); its density is cheap, which training needs.

    The noise of a given z is computed in all dimensions at once; a sample costs D passes of each transform.

    Args:
        latent_dim: D.
        transforms: the number of affine autoregressive transforms.
        hidden_dims: widths of each transform's hidden layers.

    Raises:
        ValueError: if ``transforms`` is not positive, or there is only one dimension.

    References:
        Papamakarios, Pavlakou & Murray 2017, Masked Autoregressive Flow for Density Estimation, section 3; as the prior
        of a VAE: Chen et al. 2017, Variational Lossy Autoencoder, section 3.2.
    """

    zero: Tensor

    def __init__(
        self,
        latent_dim: int,
        transforms: int = 2,
        hidden_dims: list[int] = [64, 64],  # noqa: B006 (read only; the command line shows it)
    ):
        require_positive(transforms=transforms)
        if latent_dim < 2:
            raise ValueError("FlowPrior conditions dimensions on each other, and needs at least two dimensions")
        super().__init__(latent_dim)
        self.register_buffer("zero", torch.zeros(latent_dim), persistent=False)
        self.transforms = masked_steps(latent_dim, 0, transforms, hidden_dims)

    def forward(self) -> dist.TorchDistribution:
        # Each transform is direct, and so cheap, from z to noise.
        steps = [transform().inv for transform in self.transforms]
        return Flow(diagonal(self.zero, torch.ones_like(self.zero)), steps[::-1])
