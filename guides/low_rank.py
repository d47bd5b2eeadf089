"""The Gaussian whose covariance is a diagonal plus a few directions."""

import pyro.distributions as dist
from torch import Tensor

from guides.base import Guide
from guides.encoders import Encoder
from pyro_vae.nn import require_positive, softplus_scale


class LowRank(Guide):
    r"""A Gaussian with low-rank plus diagonal covariance, :math:`q(z|x) = N(\mu, \mathrm{diag}\,\sigma^2 + U U^T)`.

    :math:`U = \mathrm{diag}(\sigma)\, V`: the amortized entries of V are in units of their row's scale, and are damped
    (:class:`guides.base.Head`).

    Between :class:`~guides.MeanField` and :class:`~guides.FullRank`: the number of variational parameters grows
    linearly with D. A rank of D - 1 or more reaches every covariance whose smallest eigenvalue is above the floor: with
    that eigenvalue as the diagonal, the rest has rank D - 1.

    Args:
        encoder: the network from images to features.
        latent_dim: D. The variational parameters are D means, D raw scales and D times R entries of V, P = (2 + R) D.
        rank: the number R of columns of U; more than D are never used.

    Shapes: ``posterior`` takes ``(N, P)`` and has batch_shape ``(N,)``, event_shape ``(D,)``.

    Raises:
        ValueError: if ``rank`` is not positive.

    References:
        Ong, Nott & Smith 2018, Gaussian Variational Approximation with a Factor Covariance Structure.

    Example:
        >>> import torch
        >>> from guides import LowRank, MLPEncoder
        >>> guide = LowRank(MLPEncoder((1, 8, 8)), latent_dim=6, rank=2)
        >>> guide.posterior(guide.amortize(torch.rand(5, 1, 8, 8))).rsample().shape
        torch.Size([5, 6])
    """

    def __init__(self, encoder: Encoder, latent_dim: int, rank: int = 4):
        require_positive(rank=rank)
        rank = min(rank, latent_dim)
        super().__init__(encoder, latent_dim, (2 + rank) * latent_dim, num_couplings=rank * latent_dim)
        self.rank = rank
        self.contains_full_gaussian = rank >= latent_dim - 1

    def posterior(self, lam: Tensor) -> dist.TorchDistribution:
        loc, raw_scale = lam[..., : 2 * self.latent_dim].chunk(2, dim=-1)
        relative = lam[..., 2 * self.latent_dim :].unflatten(-1, (self.latent_dim, self.rank))
        # The density is a difference of two terms that grow as 1 / variance: with a lower floor, float32 loses its
        # digits.
        scale = softplus_scale(raw_scale, floor=1e-2)
        return dist.LowRankMultivariateNormal(loc, scale.unsqueeze(-1) * relative, scale**2)
