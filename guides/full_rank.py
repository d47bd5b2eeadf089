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
    rows_columns: Tensor

    def __init__(self, encoder: Encoder, latent_dim: int):
        below = latent_dim * (latent_dim - 1) // 2
        super().__init__(encoder, latent_dim, num_parameters=2 * latent_dim + below)
        self.register_buffer("rows_columns", torch.tril_indices(latent_dim, latent_dim, -1), persistent=False)

    def posterior(self, lam: Tensor) -> dist.TorchDistribution:
        loc, raw_diagonal = lam[..., : 2 * self.latent_dim].chunk(2, dim=-1)
        scale_tril = torch.diag_embed(softplus_scale(raw_diagonal))
        rows, columns = self.rows_columns
        scale_tril[..., rows, columns] = lam[..., 2 * self.latent_dim :]
        return dist.MultivariateNormal(loc, scale_tril=scale_tril)
