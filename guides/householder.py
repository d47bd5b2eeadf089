"""Householder flows: a Gaussian with a rotated covariance."""

import pyro.distributions as dist
import torch
from pyro.distributions.transforms.householder import ConditionedHouseholder
from torch import Tensor, nn

from guides.base import Guide
from guides.encoders import Encoder
from pyro_vae.distributions.flow import Flow, diagonal
from pyro_vae.nn import require_positive, softplus_scale


class Householder(Guide):
    r"""A Gaussian turned by T reflections, :math:`z = \mu + H_T \cdots H_1 \mathrm{diag}(\sigma)\, \epsilon`.

    :math:`H_t = I - 2 v_t v_t^T / |v_t|^2`. The paper reflects the mean too; the family is the same, and an unreflected
    mean does not move while the directions are learned. D - 1 reflections reach every covariance. Each vector is a
    global one plus an amortized change.

    Args:
        encoder: the network from images to features.
        latent_dim: D. The variational parameters are D means, D raw scales and T vectors, P = (2 + T) D.
        reflections: the number T of reflections.

    Shapes: ``posterior`` takes ``(N, P)`` and has batch_shape ``(N,)``, event_shape ``(D,)``.

    Raises:
        ValueError: if a number is not positive.

    References:
        Tomczak & Welling 2016, Improving Variational Auto-Encoders using Householder Flow, the section on
        Householder flow.

    Example:
        >>> import torch
        >>> from guides import Householder, MLPEncoder
        >>> guide = Householder(MLPEncoder((1, 8, 8)), latent_dim=2, reflections=2)
        >>> guide.posterior(guide.amortize(torch.rand(5, 1, 8, 8))).rsample().shape
        torch.Size([5, 2])
    """

    def __init__(self, encoder: Encoder, latent_dim: int, reflections: int = 4):
        require_positive(reflections=reflections)
        super().__init__(encoder, latent_dim, num_parameters=(2 + reflections) * latent_dim)
        with torch.no_grad():  # the vectors hardly depend on the image at first
            for weights in self.head.parameters():
                weights[2 * latent_dim :] *= 0.1
        self.contains_full_gaussian = reflections >= latent_dim - 1
        # Rotated noise of equal scales is the same noise, so any different directions are a good start. Only directions
        # count: a vector of length 2 turns half as far by the change of one image.
        vectors = 2 * nn.functional.normalize(torch.randn(reflections, latent_dim), dim=-1)
        self.vectors = nn.Parameter(vectors, requires_grad=latent_dim > 1)  # one dimension has no directions

    def posterior(self, lam: Tensor) -> dist.TorchDistribution:
        loc, raw_scale = lam[..., : 2 * self.latent_dim].chunk(2, dim=-1)
        vectors = self.vectors + lam[..., 2 * self.latent_dim :].unflatten(-1, self.vectors.shape)
        noise = diagonal(torch.zeros_like(loc), softplus_scale(raw_scale))
        shift = dist.transforms.AffineTransform(loc, torch.ones_like(loc), event_dim=1)
        return Flow(noise, [ConditionedHouseholder(vectors), shift])
