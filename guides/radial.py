"""Radial flows."""

from pyro.distributions import TorchDistribution
from pyro.distributions.transforms.radial import ConditionedRadial
from torch import Tensor

from guides.base import Guide, require_positive, softplus_scale
from guides.encoders import Encoder
from guides.flows import Flow, diagonal


class Radial(Guide):
    r"""A diagonal Gaussian pulled towards or pushed from T points, :math:`f(z) = z + \beta (z - z_0) / (\alpha + r)`.

    :math:`r = |z - z_0|`, and the point, :math:`\alpha > 0` and :math:`\beta > -\alpha` are amortized. Each transform
    is Pyro's, which has no inverse, so the distribution scores only its own samples.

    Args:
        encoder: the network from images to features.
        latent_dim: D. The variational parameters are the D means and D raw scales of the Gaussian, and D + 2 numbers
            for each transform, P = 2 D + T (D + 2). Points are offsets from the mean.
        transforms: the number T of points.

    Shapes: ``posterior`` takes ``(N, P)`` and has batch_shape ``(N,)``, event_shape ``(D,)``.

    Raises:
        ValueError: where a number is not positive.

    References:
        Rezende & Mohamed 2015, Variational Inference with Normalizing Flows, equations 13 and 14 and Appendix A.2.

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
        super().__init__(encoder, latent_dim, num_parameters=2 * latent_dim + transforms * (latent_dim + 2))
        self.start_small(2 * latent_dim)
        self.num_transforms = transforms

    def posterior(self, lam: Tensor) -> TorchDistribution:
        loc, raw_scale = lam[..., : 2 * self.latent_dim].chunk(2, dim=-1)
        points = lam[..., 2 * self.latent_dim :].unflatten(-1, (self.num_transforms, -1)).unbind(-2)
        transforms = []
        for point in points:
            offset, raw_alpha, raw_beta = point.split([self.latent_dim, 1, 1], dim=-1)
            transforms.append(ConditionedRadial((loc + offset, raw_alpha, raw_beta)))  # the identity at raw 0
        return Flow(diagonal(loc, softplus_scale(raw_scale)), transforms, invertible=False)
