"""Neural spline flows."""

from functools import partial

from pyro.distributions import TorchDistribution
from torch import Tensor

from guides.base import Guide
from guides.encoders import Encoder
from pyro_vae.distributions.flow import MonotonicRQSTransform, masked_steps, scaled_flow
from pyro_vae.nn import require_positive


class NSF(Guide):
    r"""Noise through T monotone rational-quadratic splines, then scaled and shifted,
    :math:`z = \mu + \sigma \odot f(\epsilon)`.

    A masked network computes the splines of a dimension from other dimensions and from a context from the encoder. They
    bend the noise within ``bound`` standard deviations and are the identity outside.

    Args:
        encoder: the network from images to features.
        latent_dim: D. The variational parameters are D means, D raw scales and the context, P = 2 D + ``context_dim``.
        transforms: the number T of layers of splines.
        autoregressive: whether each dimension depends on all before it (scoring any z costs D passes), or one half of
            them on the other half (two passes). Sampling costs one pass either way.
        bins: the pieces of a spline.
        bound: the splines' interval is [-bound, bound], in units of the noise's standard deviation.
        hidden_dims: widths of the network's hidden layers.
        context_dim: how many numbers the encoder passes to the splines.

    Shapes: ``posterior`` takes ``(N, P)`` and has batch_shape ``(N,)``, event_shape ``(D,)``.

    Raises:
        ValueError: if a number is not positive, or there are fewer than 2 bins.

    References:
        Durkan, Bekasov, Murray & Papamakarios 2019, Neural Spline Flows, section 3.

    Example:
        >>> import torch
        >>> from guides import MLPEncoder, NSF
        >>> guide = NSF(MLPEncoder((1, 8, 8)), latent_dim=2, transforms=2)
        >>> guide.posterior(guide.amortize(torch.rand(5, 1, 8, 8))).rsample().shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        encoder: Encoder,
        latent_dim: int,
        transforms: int = 3,
        autoregressive: bool = False,
        bins: int = 8,
        bound: float = 5.0,
        hidden_dims: list[int] = [128],  # noqa: B006 (read only; the command line shows it)
        context_dim: int = 64,
    ):
        require_positive(transforms=transforms, bound=bound, context_dim=context_dim)
        if bins < 2:
            raise ValueError(f"bins must be at least 2, not {bins}")
        super().__init__(encoder, latent_dim, num_parameters=2 * latent_dim + context_dim)
        self.transforms = masked_steps(
            latent_dim,
            context_dim,
            transforms,
            hidden_dims,
            passes=None if autoregressive else 2,
            univariate=partial(MonotonicRQSTransform, bound=bound),
            shapes=[(bins,), (bins,), (bins - 1,)],
        )

    def posterior(self, lam: Tensor) -> TorchDistribution:
        loc, raw_scale, context = lam.tensor_split([self.latent_dim, 2 * self.latent_dim], dim=-1)
        return scaled_flow(loc, raw_scale, [transform(context) for transform in self.transforms])
