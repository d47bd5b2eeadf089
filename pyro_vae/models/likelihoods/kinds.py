"""The likelihoods of one column: what the decoder's numbers of a column mean, in the column's own units.

Every location is relative to the column's centre and scale, so that networks see numbers around zero, while densities
are in the column's units: the Jacobian of the standardisation is in them.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pyro.distributions as dist
import torch
from torch import Tensor

from pyro_vae.distributions.by_column import Levels
from pyro_vae.nn import UNIT_RAW_SCALE, softplus_scale


class About(NamedTuple):
    """Columns of one kind: ``(G,)`` each; levels and shares of Categorical ones ``(G, C)``, NaN and 0 beyond the last.

    Attributes:
        floor: of a standard deviation, in the column's own.
    """

    centre: Tensor
    scale: Tensor
    levels: Tensor
    shares: Tensor
    floor: float


class Kind(NamedTuple):
    """A kind of likelihood.

    Attributes:
        shapes: the number of parameters beside the location: scales, degrees of freedom, dispersions.
        make: from the raw location ``(..., G)``, or ``(..., G, C)`` of a Categorical, the raw shapes ``(..., G)`` each,
            which are usual at 0, and what is known of the columns to a distribution of batch_shape ``(..., G)``.
        start: from means ``(G,)`` in the columns' units to raw locations.
        fill: numbers in the support, ``(G,)``.
    """

    shapes: int
    make: Callable[[Tensor, Sequence[Tensor], About], dist.TorchDistribution]
    start: Callable[[Tensor, About], Tensor]
    fill: Callable[[About], Tensor]


def _gaussian(raw: Tensor, shapes: Sequence[Tensor], about: About) -> dist.TorchDistribution:
    scale = about.scale * softplus_scale(shapes[0], about.floor)
    return dist.Normal(about.centre + about.scale * raw, scale.expand_as(raw), validate_args=False)


def _student(raw: Tensor, shapes: Sequence[Tensor], about: About) -> dist.TorchDistribution:
    scale = about.scale * softplus_scale(shapes[0], about.floor)
    freedom = 2 + 8 * softplus_scale(shapes[1])  # above 2, so that there is a variance; 10 at the start
    return dist.StudentT(freedom.expand_as(raw), about.centre + about.scale * raw, scale, validate_args=False)


def _log_normal(raw: Tensor, shapes: Sequence[Tensor], about: About) -> dist.TorchDistribution:
    scale = about.scale * softplus_scale(shapes[0], about.floor)
    return dist.LogNormal(about.centre + about.scale * raw, scale.expand_as(raw), validate_args=False)


def _bernoulli(raw: Tensor, shapes: Sequence[Tensor], about: About) -> dist.TorchDistribution:
    return dist.Bernoulli(logits=raw, validate_args=False)


def _categorical(raw: Tensor, shapes: Sequence[Tensor], about: About) -> dist.TorchDistribution:
    return Levels(torch.where(about.levels.isnan(), -torch.inf, raw), about.levels)


def _poisson(raw: Tensor, shapes: Sequence[Tensor], about: About) -> dist.TorchDistribution:
    return dist.Poisson(about.centre * softplus_scale(raw), validate_args=False)


def _negative_binomial(raw: Tensor, shapes: Sequence[Tensor], about: About) -> dist.TorchDistribution:
    # at the start, the dispersion of the column: variance = mean + mean^2 / count
    excess = (about.scale**2 - about.centre).clamp_min(0.01 * about.centre)
    count = about.centre**2 / excess * softplus_scale(shapes[0])
    mean = about.centre * softplus_scale(raw)
    return dist.NegativeBinomial(count.expand_as(raw), logits=mean.log() - count.log(), validate_args=False)


def _linear_start(mean: Tensor, about: About) -> Tensor:
    return (mean - about.centre) / about.scale


def _log_start(mean: Tensor, about: About) -> Tensor:
    return (mean.log() - about.scale**2 / 2 - about.centre) / about.scale


def _rate_start(mean: Tensor, about: About) -> Tensor:
    return torch.expm1(mean / about.centre).log() - UNIT_RAW_SCALE


def _zeros(about: About) -> Tensor:
    return torch.zeros_like(about.centre)


KINDS: dict[str, Kind] = {
    "Gaussian": Kind(1, _gaussian, _linear_start, lambda about: about.centre),
    "StudentT": Kind(2, _student, _linear_start, lambda about: about.centre),
    "LogNormal": Kind(1, _log_normal, _log_start, lambda about: about.centre.exp()),
    "Bernoulli": Kind(0, _bernoulli, lambda mean, about: mean.clamp(1e-3, 1 - 1e-3).logit(), _zeros),
    "Categorical": Kind(
        0, _categorical, lambda mean, about: about.shares.clamp_min(1e-3).log(), lambda about: about.levels[:, 0]
    ),
    "Poisson": Kind(0, _poisson, _rate_start, _zeros),
    "NegativeBinomial": Kind(1, _negative_binomial, _rate_start, _zeros),
}
