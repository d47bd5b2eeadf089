"""A point: the guide of the plain autoencoder."""

import pyro
import pyro.distributions as dist
from torch import Tensor

from guides.base import Guide
from guides.encoders import Encoder
from pyro_vae.params import announce


class Point(dist.Delta):
    """A point mass that refuses to be scored, because it has no density."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Raises NotImplementedError: with any number here, the ELBO would bound nothing."""
        raise NotImplementedError("a point mass has no density: there is no log q(z|x), no KL and no ELBO with Delta")


class Delta(Guide):
    r"""All mass at one point, :math:`q(z|x) = \delta(z - \mu(x))`: with it the VAE becomes the plain autoencoder.

    There is no log q(z|x), so ``posterior(lam).log_prob`` raises, and training with this guide reports no bound on log
    p(x). In a Pyro trace the site "z" scores 0, as in Pyro's own ``AutoDelta``. SVI then maximises :math:`\log p(x|z) +
    \beta \log p(z)` at :math:`z = \mu(x)`: with a KL weight of 0 (``--beta Constant --beta.beta 0``) the reconstruction
    alone, the autoencoder; with 1 the point of highest posterior density, an autoencoder with weight decay on its code.

    Args:
        encoder: the network from images to features.
        latent_dim: D. The variational parameters are the D coordinates of the point, P = D.

    Shapes: ``posterior`` takes ``(N, D)`` and has batch_shape ``(N,)``, event_shape ``(D,)``.

    References:
        Hinton & Salakhutdinov 2006, Reducing the Dimensionality of Data with Neural Networks.

    Example:
        >>> import torch
        >>> from guides import Delta, MLPEncoder
        >>> guide = Delta(MLPEncoder((1, 8, 8)), latent_dim=2)
        >>> guide.posterior(guide.amortize(torch.rand(5, 1, 8, 8))).rsample().shape
        torch.Size([5, 2])
    """

    scores_any_z = False
    has_density = False

    def __init__(self, encoder: Encoder, latent_dim: int):
        super().__init__(encoder, latent_dim, num_parameters=latent_dim)

    def posterior(self, lam: Tensor) -> dist.TorchDistribution:
        return Point(lam, event_dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """The Pyro guide: in plate "data", site "z" at the point, scored 0; returns z, ``(..., N, latent_dim)``."""
        announce(self)
        with pyro.plate("data", len(x), dim=-1):
            return pyro.sample("z", dist.Delta(self.amortize(x), event_dim=1))
