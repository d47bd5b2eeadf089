"""One distribution over the values of a row, whose columns are of different kinds."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import constraints


class Group(NamedTuple):
    """Columns of one kind: their places in a row, ``(G,)``, and a distribution of batch_shape ``(..., G)``."""

    places: Tensor
    fn: dist.TorchDistribution


class ByColumn(dist.TorchDistribution):
    """Independent values, each of its column's distribution: batch_shape ``(..., *shape)``, no event.

    Args:
        groups: which together hold every place of a row once.
        order: where each value is in the groups' values one after another, ``(P,)``.
        shape: of a row, with P values.
    """

    arg_constraints = {}  # noqa: RUF012 (torch reads it from the class)
    support = constraints.real

    def __init__(self, groups: Sequence[Group], order: Tensor, shape: tuple[int, ...]):
        self.groups, self.order, self.shape_of_row = groups, order, shape
        super().__init__(groups[0].fn.batch_shape[:-1] + torch.Size(shape), torch.Size(), validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "ByColumn":
        """The same with another batch shape, whose last dimensions are those of a row."""
        rows = torch.Size(batch_shape)[: len(batch_shape) - len(self.shape_of_row)]
        groups = [Group(places, fn.expand(rows + fn.batch_shape[-1:])) for places, fn in self.groups]
        return ByColumn(groups, self.order, self.shape_of_row)

    def log_prob(self, value: Tensor) -> Tensor:
        """Nats of each value, ``(..., *shape)``."""
        flat = value.flatten(-len(self.shape_of_row))
        return self._joined(lambda group: group.fn.log_prob(flat[..., group.places]))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """``(*sample_shape, ..., *shape)``, without gradients."""
        with torch.no_grad():
            return self._joined(lambda group: group.fn.sample(torch.Size(sample_shape)))

    @property
    def mean(self) -> Tensor:
        return self._joined(lambda group: group.fn.mean)

    @property
    def best(self) -> Tensor:
        """The mean of each value, or the most probable one in a Bernoulli or a Categorical column."""
        return self._joined(_best)

    @property
    def variance(self) -> Tensor:
        return self._joined(lambda group: group.fn.variance)

    def _joined(self, of: Callable[[Group], Tensor]) -> Tensor:
        whole = torch.cat([of(group) for group in self.groups], -1)
        return whole[..., self.order].unflatten(-1, self.shape_of_row)


def _best(group: Group) -> Tensor:
    if isinstance(group.fn, dist.Bernoulli):
        return (group.fn.mean > 0.5).to(group.fn.mean.dtype)
    return group.fn.mode if isinstance(group.fn, Levels) else group.fn.mean


class Levels(dist.TorchDistribution):
    """A value that is one of a few numbers: a categorical distribution over levels.

    Args:
        logits: ``(..., G, C)``; -inf for a level that there is not.
        levels: ``(G, C)``, the numbers; NaN for a level that there is not.
    """

    arg_constraints = {}  # noqa: RUF012 (torch reads it from the class)
    support = constraints.real

    def __init__(self, logits: Tensor, levels: Tensor):
        self.log_share, self.levels = logits.log_softmax(-1), levels
        super().__init__(logits.shape[:-1], torch.Size(), validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Levels":
        """The same with another batch shape."""
        return Levels(self.log_share.expand(*batch_shape, self.log_share.shape[-1]), self.levels)

    def log_prob(self, value: Tensor) -> Tensor:
        """Nats; -inf for a number that is no level."""
        is_level = value[..., None] == self.levels
        found = torch.where(is_level, self.log_share, 0.0).sum(-1)
        return torch.where(is_level.any(-1), found, -torch.inf)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with torch.no_grad():
            which = dist.Categorical(logits=self.log_share, validate_args=False).sample(torch.Size(sample_shape))
            return self.levels.expand(*which.shape, -1).gather(-1, which[..., None])[..., 0]

    @property
    def mean(self) -> Tensor:
        return self._expected(self.levels)

    @property
    def variance(self) -> Tensor:
        return self._expected(self.levels.square()) - self.mean.square()

    @property
    def mode(self) -> Tensor:
        """The most probable level, ``(..., G)``."""
        best = self.log_share.argmax(-1, keepdim=True)
        return self.levels.expand_as(self.log_share).gather(-1, best)[..., 0]

    def _expected(self, of_levels: Tensor) -> Tensor:
        return torch.where(of_levels.isnan(), 0.0, self.log_share.exp() * of_levels.nan_to_num()).sum(-1)
