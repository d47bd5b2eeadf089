"""The Gaussian with any covariance."""

import pyro.distributions as dist
import torch
from torch import Tensor

from guides.base import Guide, softplus_scale
from guides.encoders import Encoder


class FullRank(Guide):
    r"""A Gaussian with full covariance by its Cholesky factor, :math:`q(z|x) = N(\mu(x), L(x) L(x)^T)`.

    Args:
        encoder: the network from images to features.
        latent_dim: D. The variational parameters are D means, D raw diagonal entries and D(D-1)/2 entries below the
            diagonal of L, P = D + D(D+1)/2.

    Shapes: ``posterior`` takes ``(N, P)`` and has batch_shape ``(N,)``, event_shape ``(D,)``.

    References:
        Kingma & Welling 2019, An Introduction to Variational Autoencoders, section 2.5.1.

    Example:
        >>> import torch
        >>> from guides import FullRank, MLPEncoder
        >>> guide = FullRank(MLPEncoder((1, 8, 8)), latent_dim=2)
        >>> guide.posterior(guide.amortize(torch.rand(5, 1, 8, 8))).rsample().shape
        torch.Size([5, 2])
    """

    contains_full_gaussian = True
    below: Tensor

    def __init__(self, encoder: Encoder, latent_dim: int):
        rows, columns = torch.tril_indices(latent_dim, latent_dim, -1)
        super().__init__(encoder, latent_dim, num_parameters=2 * latent_dim + len(rows))
        self.start_small(2 * latent_dim)
        self.register_buffer("below", rows * latent_dim + columns, persistent=False)  # where in the flattened matrix

    def posterior(self, lam: Tensor) -> dist.TorchDistribution:
        d = self.latent_dim
        loc, raw_diagonal, entries = lam.tensor_split([d, 2 * d], dim=-1)
        flat = lam.new_zeros(*lam.shape[:-1], d * d).index_copy(-1, self.below, entries)
        return dist.MultivariateNormal(
            loc, scale_tril=flat.unflatten(-1, (d, d)) + torch.diag_embed(softplus_scale(raw_diagonal))
        )
