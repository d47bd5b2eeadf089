"""Radial flows."""

from pyro.distributions import TorchDistribution
from pyro.distributions.transforms.radial import ConditionedRadial
from torch import Tensor

from guides.base import Guide
from guides.encoders import Encoder
from pyro_vae.distributions.flow import scaled_flow
from pyro_vae.nn import require_positive


class Radial(Guide):
    r"""Noise pulled towards or pushed from T points, :math:`f(z) = z + \beta (z - z_0) / (\alpha + r)`, then scaled and
    shifted.

    :math:`r = |z - z_0|`, and the point, :math:`\alpha > 0` and :math:`\beta > -\alpha` are amortized. Each transform
    is Pyro's, which has no inverse, so the distribution scores only its own samples. The paper scales and shifts the
    noise before the flow; here the points come first, so their distances are in units of the posterior's scale, and the
    parameters of a point are damped (:class:`guides.base.Head`).

    Args:
        encoder: the network from images to features.
        latent_dim: D. The variational parameters are D means, D raw scales and D + 2 numbers for each transform,
            P = 2 D + T (D + 2).
        transforms: the number T of points.

    Shapes: ``posterior`` takes ``(N, P)`` and has batch_shape ``(N,)``, event_shape ``(D,)``.

    Raises:
        ValueError: if a number is not positive.

    References:
        Rezende & Mohamed 2015, Variational Inference with Normalizing Flows, equation 14 and Appendix A.2.

    Example:
        >>> import torch
        >>> from guides import MLPEncoder, Radial
        >>> guide = Radial(MLPEncoder((1, 8, 8)), latent_dim=2, transforms=3)
        >>> guide.posterior(guide.amortize(torch.rand(5, 1, 8, 8))).rsample().shape
        torch.Size([5, 2])
    """

    scores_any_z = False

    def __init__(self, encoder: Encoder, latent_dim: int, transforms: int = 8):
        require_positive(transforms=transforms)
        couplings = transforms * (latent_dim + 2)
        super().__init__(encoder, latent_dim, 2 * latent_dim + couplings, couplings, groups=transforms)
        self.num_transforms = transforms

    def posterior(self, lam: Tensor) -> TorchDistribution:
        loc, raw_scale, numbers = lam.tensor_split([self.latent_dim, 2 * self.latent_dim], dim=-1)
        points = numbers.unflatten(-1, (self.num_transforms, -1)).unbind(-2)
        transforms = []
        for point in points:
            center, raw_alpha, raw_beta = point.split([self.latent_dim, 1, 1], dim=-1)
            transforms.append(ConditionedRadial((center, raw_alpha, raw_beta)))  # the identity at raw 0
        return scaled_flow(loc, raw_scale, transforms, invertible=False)
