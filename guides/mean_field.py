"""The diagonal Gaussian of AEVB."""

import pyro.distributions as dist
from torch import Tensor

from guides.base import Guide
from guides.encoders import Encoder
from pyro_vae.nn import softplus_scale


class MeanField(Guide):
    r"""A Gaussian with diagonal covariance, :math:`q(z|x) = N(\mu(x), \mathrm{diag}\,\sigma^2(x))`.

    Args:
        encoder: the network from images to features.
        latent_dim: D. The variational parameters are the D means and D raw scales, P = 2D.

    Shapes: ``posterior`` takes ``(N, 2 D)`` and has batch_shape ``(N,)``, event_shape ``(D,)``.

    References:
        Kingma & Welling 2013, Auto-Encoding Variational Bayes, equation 9 and Appendix C.2.

    Example:
        >>> import torch
        >>> from guides import MeanField, MLPEncoder
        >>> guide = MeanField(MLPEncoder((1, 8, 8)), latent_dim=2)
        >>> q = guide.posterior(guide.amortize(torch.rand(5, 1, 8, 8)))
        >>> q.batch_shape, q.event_shape
        (torch.Size([5]), torch.Size([2]))
    """

    def __init__(self, encoder: Encoder, latent_dim: int):
        super().__init__(encoder, latent_dim, num_parameters=2 * latent_dim)

    def posterior(self, lam: Tensor) -> dist.TorchDistribution:
        loc, raw_scale = lam.chunk(2, dim=-1)
        return dist.Normal(loc, softplus_scale(raw_scale)).to_event(1)
