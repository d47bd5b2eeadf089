"""Planar flows."""

import torch
from pyro.distributions import TorchDistribution
from pyro.distributions.transforms.planar import ConditionedPlanar
from torch import Tensor, nn

from guides.base import Guide, require_positive, softplus_scale
from guides.encoders import Encoder
from guides.flows import Flow, diagonal

IDENTITY = 0.5413248  # softplus(IDENTITY) = 1


class Planar(Guide):
    r"""A diagonal Gaussian bent along T planes, :math:`f(z) = z + \hat u \tanh(w^T z + b)` with amortized u, w, b.

    Each transform is Pyro's, with the constraint :math:`w^T \hat u > -1` that keeps it invertible. Its inverse has no
    closed form, so the distribution scores only its own samples. The normal of each plane is a global direction plus
    an amortized change: a flow that starts from w = 0 has no direction at all.

    Args:
        encoder: the network from images to features.
        latent_dim: D. The variational parameters are the D means and D raw scales of the Gaussian, and D + D + 1
            numbers for each transform, P = 2 D + T (2 D + 1).
        transforms: the number T of planes.

    Shapes: ``posterior`` takes ``(N, P)`` and has batch_shape ``(N,)``, event_shape ``(D,)``.

    Raises:
        ValueError: where a number is not positive.

    References:
        Rezende & Mohamed 2015, Variational Inference with Normalizing Flows, equations 10 to 12 and Appendix A.1.

    Example:
        >>> import torch
        >>> from guides import MLPEncoder, Planar
        >>> guide = Planar(MLPEncoder((1, 8, 8)), latent_dim=2, transforms=3)
        >>> guide.posterior(guide.amortize(torch.rand(5, 1, 8, 8))).rsample().shape
        torch.Size([5, 2])
    """

    scores_any_z = False

    def __init__(self, encoder: Encoder, latent_dim: int, transforms: int = 8):
        require_positive(transforms=transforms)
        super().__init__(encoder, latent_dim, num_parameters=2 * latent_dim + transforms * (2 * latent_dim + 1))
        self.start_small(2 * latent_dim)
        self.normals = nn.Parameter(nn.functional.normalize(torch.randn(transforms, latent_dim), dim=-1))

    def posterior(self, lam: Tensor) -> TorchDistribution:
        loc, raw_scale = lam[..., : 2 * self.latent_dim].chunk(2, dim=-1)
        planes = lam[..., 2 * self.latent_dim :].unflatten(-1, (len(self.normals), -1)).unbind(-2)
        transforms = []
        for plane, normal in zip(planes, self.normals, strict=True):
            u, w, b = plane.split([self.latent_dim, self.latent_dim, 1], dim=-1)
            w = w + normal
            # Pyro's map from u to u_hat sends this multiple of w, and not 0, to the identity.
            u = u + IDENTITY * w / (w**2).sum(-1, keepdim=True)
            transforms.append(ConditionedPlanar((b, u, w)))
        return Flow(diagonal(loc, softplus_scale(raw_scale)), transforms, invertible=False)
