"""Inverse autoregressive flows."""

from math import exp

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import AffineTransform

from guides.base import Guide
from guides.encoders import Encoder
from pyro_vae.distributions.flow import Flow, diagonal, masked_steps
from pyro_vae.nn import require_positive, softplus_scale

OPEN = 2.0  #: the gates' bias: they start mostly open, as an LSTM's forget gates do


def gate(m: Tensor, s: Tensor) -> AffineTransform:
    """x to sigma x + (1 - sigma) m with sigma = sigmoid(s + 2), kept above 0.001 so that it has an inverse."""
    sigma = 1e-3 + (1 - 1e-3) * torch.sigmoid(s + OPEN)
    return AffineTransform((1 - sigma) * m, sigma)


class IAF(Guide):
    r"""A diagonal Gaussian through T gated autoregressive steps,
    :math:`z \leftarrow \sigma \odot z + (1 - \sigma) \odot m`.

    m and :math:`\sigma` of dimension i are computed by one masked network from the dimensions before i and from a
    context from the encoder. A sample and its density cost one pass; scoring any other z is exact, and costs D passes a
    step.

    Args:
        encoder: the network from images to features.
        latent_dim: D. The variational parameters are the D means and D raw scales of the Gaussian and the context, P =
            2 D + ``context_dim``.
        transforms: the number T of steps; the order of the dimensions changes from one to the next.
        hidden_dims: widths of the masked network's hidden layers.
        context_dim: how many numbers the encoder passes to the steps.

    Shapes: ``posterior`` takes ``(N, P)`` and has batch_shape ``(N,)``, event_shape ``(D,)``.

    Raises:
        ValueError: if a number is not positive.

    References:
        Kingma, Salimans, Jozefowicz, Chen, Sutskever & Welling 2016, Improving Variational Inference with Inverse
        Autoregressive Flow, algorithm 1 and equations 12 to 14.

    Example:
        >>> import torch
        >>> from guides import IAF, MLPEncoder
        >>> guide = IAF(MLPEncoder((1, 8, 8)), latent_dim=2, transforms=2)
        >>> guide.posterior(guide.amortize(torch.rand(5, 1, 8, 8))).rsample().shape
        torch.Size([5, 2])
    """

    contains_full_gaussian = True  # one step whose m is linear can be any lower triangular matrix

    def __init__(
        self,
        encoder: Encoder,
        latent_dim: int,
        transforms: int = 4,
        hidden_dims: list[int] = [128],  # noqa: B006 (read only; the command line shows it)
        context_dim: int = 64,
    ):
        require_positive(transforms=transforms, context_dim=context_dim)
        super().__init__(encoder, latent_dim, num_parameters=2 * latent_dim + context_dim)
        self.transforms = masked_steps(latent_dim, context_dim, transforms, hidden_dims, univariate=gate)
        # Each half-open gate shrinks its input; start where the product of all has scale 1.
        self.start_scale = (1 + exp(-OPEN)) ** transforms

    def posterior(self, lam: Tensor) -> TorchDistribution:
        loc, raw_scale, context = lam.tensor_split([self.latent_dim, 2 * self.latent_dim], dim=-1)
        base = diagonal(loc, softplus_scale(raw_scale) * self.start_scale)
        return Flow(base, [transform(context) for transform in self.transforms])
