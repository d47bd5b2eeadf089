"""Planar flows."""

import torch
from pyro.distributions import TorchDistribution
from pyro.distributions.transforms.planar import ConditionedPlanar
from torch import Tensor, nn

from guides.base import Guide
from guides.encoders import Encoder
from pyro_vae.distributions.flow import scaled_flow
from pyro_vae.nn import UNIT_RAW_SCALE, require_positive


class Planar(Guide):
    r"""Noise bent along T planes, :math:`f(z) = z + \hat u \tanh(w^T z + b)` with amortized u, w, b, then scaled and
    shifted.

    Each transform is Pyro's, with the constraint :math:`w^T \hat u > -1` that keeps it invertible. Its inverse has no
    closed form, so the distribution scores only its own samples. The normal of each plane is a global direction plus
    an amortized change: a flow that starts from w = 0 has no direction at all. The paper scales and shifts the noise
    before the flow; here the planes come first, so their parameters are in units of the posterior's scale, and are
    damped (:class:`guides.base.Head`).

    Args:
        encoder: the network from images to features.
        latent_dim: D. The variational parameters are D means, D raw scales and D + D + 1 numbers for each transform,
            P = 2 D + T (2 D + 1).
        transforms: the number T of planes.

    Shapes: ``posterior`` takes ``(N, P)`` and has batch_shape ``(N,)``, event_shape ``(D,)``.

    Raises:
        ValueError: if a number is not positive.

    References:
        Rezende & Mohamed 2015, Variational Inference with Normalizing Flows, section 4.1 and Appendix A.1.

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
        couplings = transforms * (2 * latent_dim + 1)
        super().__init__(encoder, latent_dim, 2 * latent_dim + couplings, num_couplings=couplings)
        self.normals = nn.Parameter(nn.functional.normalize(torch.randn(transforms, latent_dim), dim=-1))

    def posterior(self, lam: Tensor) -> TorchDistribution:
        loc, raw_scale, numbers = lam.tensor_split([self.latent_dim, 2 * self.latent_dim], dim=-1)
        planes = numbers.unflatten(-1, (len(self.normals), -1)).unbind(-2)
        transforms = []
        for plane, normal in zip(planes, self.normals, strict=True):
            u, w, b = plane.split([self.latent_dim, self.latent_dim, 1], dim=-1)
            w = w + normal
            # Pyro's map from u to u_hat sends this multiple of w, and not 0, to the identity.
            u = u + UNIT_RAW_SCALE * w / (w**2).sum(-1, keepdim=True)
            transforms.append(ConditionedPlanar((b, u, w)))
        return scaled_flow(loc, raw_scale, transforms, invertible=False)
