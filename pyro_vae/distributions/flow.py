"""Shared by the flow guides: a base distribution pushed through zuko's or Pyro's transforms."""

from collections.abc import Sequence
from typing import Any

import pyro.distributions as dist
import torch
from pyro.contrib.zuko import ZukoToPyro
from torch import Size, Tensor, nn
from torch.distributions import AffineTransform, Distribution, Transform, constraints

from pyro_vae.nn import softplus_scale

_validate = Distribution._validate_args
from zuko.distributions import NormalizingFlow  # noqa: E402
from zuko.flows.autoregressive import MaskedAutoregressiveTransform  # noqa: E402
from zuko.transforms import ComposedTransform  # noqa: E402
from zuko.transforms import MonotonicRQSTransform as MonotonicRQSTransform  # noqa: E402

# Importing zuko disables the validation of every distribution in the whole process; restore the user's choice.
Distribution.set_default_validate_args(_validate)


class Flow(ZukoToPyro):
    r"""The distribution of :math:`z = f_T \circ \dots \circ f_1(\epsilon)` with :math:`\epsilon` from a base.

    Sampling is the cheap direction, and the same pass gives the density of a sample:
    :math:`\log q(z) = \log p(\epsilon) - \sum_t \log |\det \partial f_t|` (Rezende & Mohamed 2015, section 3.1). The
    last sample is kept with its density, so scoring it is free; any other z costs the exact inverses of the transforms.

    Args:
        base: the distribution of the noise, batch_shape ``(N,)``, event_shape ``(D,)``.
        transforms: :math:`f_1, \dots, f_T`, from noise to z.
        invertible: whether the transforms can be inverted, so that any z can be scored.
    """

    support = constraints.real_vector

    def __init__(self, base: Distribution, transforms: Sequence[Transform], invertible: bool = True):
        # zuko's flows go from data to noise.
        super().__init__(NormalizingFlow(ComposedTransform(*transforms).inv, base))
        self.dist: NormalizingFlow
        self.base, self.transforms, self.invertible = base, transforms, invertible
        self._last: tuple[Tensor, Tensor, bool] | None = None

    @property
    def event_shape(self) -> Size:
        return self.base.event_shape  # zuko asks the transforms, and Affine answers with its batch shape

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Flow":
        return Flow(self.base.expand(batch_shape), self.transforms, self.invertible)

    def __call__(self, sample_shape: Any = ()) -> Tensor:
        return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        z, log_prob = self.dist.rsample_and_log_prob(Size(sample_shape))
        self._last = (z, log_prob, torch.is_grad_enabled())
        return z

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with torch.no_grad():
            return self.rsample(sample_shape)

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z) in nats, ``(..., D) -> (...)``.

        Raises:
            NotImplementedError: if z is not the last sample, and the transforms have no inverse.
        """
        if self._last is not None and z is self._last[0]:
            _, log_prob, with_gradients = self._last
            # A density computed without gradients cannot be reused if gradients are needed.
            if with_gradients or not (self.invertible and torch.is_grad_enabled()):
                return log_prob
        if not self.invertible:
            raise NotImplementedError("this flow has no inverse: it scores only its own last sample")
        return self.dist.log_prob(z)


def scaled_flow(loc: Tensor, raw_scale: Tensor, transforms: Sequence[Transform], invertible: bool = True) -> Flow:
    r"""Noise through the transforms, then scaled and shifted: :math:`z = \mu + \sigma \odot f(\epsilon)`.

    So the transforms work in units of the posterior's own scale, even for a narrow posterior.

    Args:
        loc: the means, ``(N, D)``.
        raw_scale: the scales before :func:`~pyro_vae.nn.softplus_scale`, ``(N, D)``.
        transforms: :math:`f_1, \dots, f_T`, from noise on.
        invertible: whether they can be inverted.
    """
    outermost = AffineTransform(loc, softplus_scale(raw_scale), event_dim=1)
    return Flow(diagonal(torch.zeros_like(loc), torch.ones_like(loc)), [*transforms, outermost], invertible)


def diagonal(loc: Tensor, scale: Tensor) -> dist.TorchDistribution:
    """The Gaussian with these means and standard deviations, ``(N, D)`` each: the base of most flows."""
    return dist.Normal(loc, scale).to_event(1)


def masked_steps(
    latent_dim: int, context_dim: int, transforms: int, hidden_dims: list[int], **options: Any
) -> nn.ModuleList:
    """zuko's masked transforms in sequence; in each, a dimension sees those before it and a context.

    The order of the dimensions changes from one to the next: forwards, backwards, evens before odds, odds before evens.
    The last layer of each network is shrunk, so training starts close to the base distribution.

    Args:
        latent_dim: D.
        context_dim: the size of the context of an image.
        transforms: their number.
        hidden_dims: widths of each network's hidden layers.
        options: for ``MaskedAutoregressiveTransform``: ``univariate`` and its ``shapes``, and ``passes``, the cost of
            the inverse. With 2 passes it is a coupling, but without the index lookups on the device that zuko's own
            coupling makes in every call.
    """
    forwards = torch.arange(latent_dim)
    evens_first = torch.cat([forwards[::2], forwards[1::2]]).argsort()
    orders = [forwards, forwards.flip(0), evens_first, evens_first.flip(0)]
    options |= {"hidden_features": hidden_dims, "activation": nn.ELU}
    steps = [
        MaskedAutoregressiveTransform(latent_dim, context_dim, order=orders[i % 4], **options)
        for i in range(transforms)
    ]
    for step in steps:
        with torch.no_grad():
            step.hyper[-1].weight.mul_(0.1)
            step.hyper[-1].bias.mul_(0.1)
    return nn.ModuleList(steps)
