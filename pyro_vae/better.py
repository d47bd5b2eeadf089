"""Better posteriors than the encoder's in place of a guide: the best that its family has, or the true one.

What is made of codes (features, reconstructions, anomaly scores) can be made of these instead, where the encoder's own
q(z|x) is what is wrong.
"""

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from guides import Guide
from pyro_vae.errors import InputError
from pyro_vae.estimators import Draws, TruePosterior, optimize_posterior, posterior
from pyro_vae.models import Model

Which = Literal["amortized", "optimised", "exact"]
EFFECTIVE = 500  #: independent draws that those of the true posterior are worth, where the chains allow


class Repaired(nn.Module):
    """What ``amortize`` and ``posterior`` of a guide give, with other posteriors.

    Args:
        model: p(x, z).
        guide: whose family is searched, or whose draws are among the starts of the chains.
        effective: see :data:`EFFECTIVE`.
    """

    def __init__(self, model: Model, guide: Guide, effective: int = EFFECTIVE):
        super().__init__()
        self.model, self.guide, self.effective = model, guide, effective

    def amortize(self, x: Tensor) -> Tensor:
        """Images ``(N, *image_shape)`` to what ``posterior`` takes."""
        raise NotImplementedError

    def posterior(self, lam: Tensor) -> Distribution:
        """What ``amortize`` gave to a distribution of z for each image."""
        raise NotImplementedError


class Optimised(Repaired):
    """The guide's family at the variational parameters that are best for each image."""

    def amortize(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            return optimize_posterior(self.model, self.guide, x, seed=_next_seed()).lam

    def posterior(self, lam: Tensor) -> Distribution:
        return self.guide.posterior(lam)


class Exact(Repaired):
    """The true posterior, by annealed chains."""

    def amortize(self, x: Tensor) -> Tensor:
        return x

    def posterior(self, lam: Tensor) -> Distribution:
        draws = Draws(effective=self.effective)
        return Drawn(posterior(self.model, self.guide, lam, draws=draws, seed=_next_seed()))


class Drawn(Distribution):
    """The true posterior of N images as a distribution, known by its weighted draws."""

    arg_constraints = {}  # noqa: RUF012 (torch reads it from the class)

    def __init__(self, true: TruePosterior):
        _, n, d = true.z.shape
        super().__init__(torch.Size([n]), torch.Size([d]), validate_args=False)
        self.true, self.weight = true, true.weight.to(true.z.dtype)[..., None]

    @property
    def mean(self) -> Tensor:
        return (self.weight * self.true.z).sum(0)

    @property
    def variance(self) -> Tensor:
        return (self.weight * (self.true.z - self.mean).square()).sum(0)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Resampled draws, ``(*sample_shape, N, D)``; none is repeated more often than it must."""
        shape = torch.Size(sample_shape)
        count = max(1, shape.numel())
        draws = self.true.resampled(count, _next_seed())[torch.randperm(count)]
        return draws.reshape(*shape, *self.batch_shape, *self.event_shape)


def repaired(model: Model, guide: Guide, which: Which, effective: int = EFFECTIVE) -> Guide | Repaired:
    """The guide, or what stands for it with better posteriors.

    Args:
        which: "amortized", the guide itself; "optimised", its family's best q for each image
            (:func:`pyro_vae.estimators.optimize_posterior`); "exact", p(z|x) itself
            (:func:`pyro_vae.estimators.posterior`).
        effective: independent draws that those of "exact" are worth, where the chains allow.

    Raises:
        InputError: where it is none of these.
    """
    if which not in get_args(Which):
        raise InputError(f"no posterior {which!r}; there are {', '.join(get_args(Which))}")
    if which == "amortized":
        return guide
    return (Optimised if which == "optimised" else Exact)(model, guide, effective)


def _next_seed() -> int:
    return int(torch.randint(2**31 - 1, ()))
