"""Shared by guides and priors with two stochastic layers: z = (z1, z2), where the decoder sees only z1."""

from collections.abc import Callable
from typing import Any, ClassVar

import pyro.distributions as dist
import torch
from torch import Size, Tensor
from torch.distributions import constraints

from pyro_vae.distributions.flow import diagonal
from pyro_vae.nn import Moments


def split_layers(latent_dim: int, top_dim: int | None) -> tuple[int, int]:
    """The numbers of dimensions of z1 and z2. By default the upper layer has a third of all, but at least one.

    With one dimension in all there is only z1.

    Raises:
        ValueError: if the upper layer would have none, or all.

    >>> split_layers(150, None), split_layers(2, None), split_layers(1, None), split_layers(10, 4)
    ((100, 50), (1, 1), (1, 0), (6, 4))
    """
    if top_dim is None:
        top_dim = max(1, latent_dim // 3) if latent_dim > 1 else 0
    elif not 0 < top_dim < latent_dim:
        raise ValueError(f"top_dim must be between 1 and {latent_dim - 1} where latent_dim is {latent_dim}: {top_dim}")
    return latent_dim - top_dim, top_dim


def product(one: Moments, other: Moments) -> dist.TorchDistribution:
    """The Gaussian that is the normalised product of two diagonal ones.

    Its mean is weighted by their precisions (Sonderby et al. 2016, equations 18 and 19).
    """
    (loc, scale), (other_loc, other_scale) = one, other
    weight, other_weight = scale**-2, other_scale**-2
    precision = weight + other_weight
    return diagonal((weight * loc + other_weight * other_loc) / precision, precision.rsqrt())


class Layered(dist.TorchDistribution):
    r"""One layer, then the other given it: p(z1) p(z2|z1), or p(z2) p(z1|z2), over the vector z = (z1, z2).

    Args:
        first: the distribution of the first layer, batch_shape ``(N,)``, event_shape ``(A,)``.
        then: from its value ``(..., N, A)`` to the distribution of the other layer, batch_shape ``(..., N)``,
            event_shape ``(B,)``.
        dim: D = A + B.
        top_first: whether the first layer is z2, the last A entries of z; else it is z1, the first A.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        first: dist.TorchDistribution,
        then: Callable[[Tensor], dist.TorchDistribution],
        dim: int,
        top_first: bool = False,
    ):
        self.first, self.then, self.top_first = first, then, top_first
        super().__init__(first.batch_shape, Size((dim,)))

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Layered":
        return Layered(self.first.expand(Size(batch_shape)), self.then, self.event_shape[0], self.top_first)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        a = self.first.rsample(Size(sample_shape))
        b = self.then(a).rsample()
        return torch.cat([b, a] if self.top_first else [a, b], dim=-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(z) in nats, ``(..., D) -> (...)``, at any z."""
        size = self.first.event_shape[0]
        if self.top_first:
            b, a = value[..., :-size], value[..., -size:]
        else:
            a, b = value[..., :size], value[..., size:]
        return self.first.log_prob(a) + self.then(a).log_prob(b)
