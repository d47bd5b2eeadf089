"""The Gaussian with any covariance."""

import pyro.distributions as dist
import torch
from torch import Tensor

from guides.base import Guide
from guides.encoders import Encoder
from pyro_vae.nn import softplus_scale


class FullRank(Guide):
    r"""A Gaussian with full covariance by its Cholesky factor, :math:`q(z|x) = N(\mu(x), L(x) L(x)^T)`.

    :math:`L = \mathrm{diag}(\sigma)\, (I + A)` with A strictly lower triangular of C = D(D-1)/2 entries.
    The entries are in units of their row's scale, and are damped (:class:`guides.base.Head`).

    Args:
        encoder: the network from images to features.
        latent_dim: D. The variational parameters are D means, D raw scales (the diagonal of L) and the D(D-1)/2
            entries of A, row by row, P = D + D(D+1)/2.

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
        super().__init__(encoder, latent_dim, 2 * latent_dim + len(rows), num_couplings=len(rows))
        self.register_buffer("below", rows * latent_dim + columns, persistent=False)  # where in the flattened matrix

    def posterior(self, lam: Tensor) -> dist.TorchDistribution:
        d = self.latent_dim
        loc, raw_scale, entries = lam.tensor_split([d, 2 * d], dim=-1)
        below = lam.new_zeros(*lam.shape[:-1], d * d).index_copy(-1, self.below, entries).unflatten(-1, (d, d))
        scale = softplus_scale(raw_scale)
        return dist.MultivariateNormal(loc, scale_tril=scale.unsqueeze(-1) * below + torch.diag_embed(scale))
