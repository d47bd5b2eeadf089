"""The variational parameters of a guide of anybody's writing: the arguments of its own distributions.

Where the latent sites of a guide are drawn independently of each other given x, the arguments of their distributions
that x decides are lambda, in unconstrained coordinates (``arg_constraints``, ``biject_to``). What x does not decide,
such as a fixed number of degrees of freedom, belongs to the family.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import biject_to, constraints, transform_to

from pyro_vae.programs.coordinates import ONE, Site, summed
from pyro_vae.seeds import forked

#: which of several names for one argument is taken
ONE_OF = {"covariance_matrix": "scale_tril", "precision_matrix": "scale_tril", "probs": "logits"}


class Joined(TorchDistribution):
    """Independent distributions of several sites as one of z, in unconstrained coordinates.

    Args:
        parts: of the sites, all of one batch shape, with one row's value as the event.
        sites: in the order of z.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real_vector

    def __init__(self, parts: Sequence[TorchDistribution], sites: Sequence[Site]):
        self.parts, self.sites = parts, sites
        super().__init__(parts[0].batch_shape, torch.Size([sum(s.size for s in sites)]), validate_args=False)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return all(part.has_rsample for part in self.parts)

    def rsample(self, sample_shape: Any = ONE) -> Tensor:
        drawn = [part.rsample(sample_shape) if part.has_rsample else part.sample(sample_shape) for part in self.parts]
        return self._vector(drawn)

    def sample(self, sample_shape: Any = ONE) -> Tensor:
        with torch.no_grad():
            return self.rsample(sample_shape)

    def _vector(self, values: Sequence[Tensor]) -> Tensor:
        free = [v if s.transform is None else s.transform.inv(v) for s, v in zip(self.sites, values, strict=True)]
        columns = zip(self.sites, free, strict=True)
        return torch.cat([v.reshape(*v.shape[: v.dim() - len(s.free_shape)], s.size) for s, v in columns], -1)

    def log_prob(self, value: Tensor) -> Tensor:
        total, lead = torch.zeros_like(value[..., 0]), value.dim() - 1
        split = value.split([site.size for site in self.sites], -1)
        for part, site, z in zip(self.parts, self.sites, split, strict=True):
            at = free = z.reshape(*z.shape[:-1], *site.free_shape)
            if site.transform is not None:
                at = site.transform(free)
                total = total + summed(site.transform.log_abs_det_jacobian(free, at), lead)
            total = total + part.log_prob(at)
        return total

    def _moment(self, name: str) -> Tensor:
        if any(site.transform is not None for site in self.sites):
            raise NotImplementedError
        return self._vector([getattr(part, name) for part in self.parts])

    @property
    def mean(self) -> Tensor:
        return self._moment("mean")

    @property
    def variance(self) -> Tensor:
        return self._moment("variance")


def product(parts: Sequence[TorchDistribution], sites: Sequence[Site]) -> TorchDistribution:
    """The distribution of z; that of the only site itself where it is one of vectors already."""
    alone = len(sites) == 1 and sites[0].transform is None and len(sites[0].shape) == 1
    return parts[0] if alone else Joined(parts, sites)


class Unreadable(ValueError):
    """A distribution whose arguments cannot be read; the message says why."""


@dataclass(frozen=True)
class Arguments:
    """The arguments of one site's distribution for R rows.

    Attributes:
        kind: the class of the distribution, without ``to_event``.
        values: by name, each ``(R, ...)``.
        constraints: on them, by name.
        event_dims: that ``to_event`` is given for one row's value.
    """

    kind: Any
    values: dict[str, Tensor]
    constraints: dict[str, Any]
    event_dims: int

    def made(self, values: Mapping[str, Tensor]) -> TorchDistribution:
        """The distribution of these values, with one row's value as the event."""
        if issubclass(self.kind, dist.Delta):
            return dist.Delta(values["v"], event_dim=self.event_dims)
        made = self.kind(**values)
        return made.to_event(self.event_dims) if self.event_dims else made

    def row(self) -> TorchDistribution:
        """That of the first row, of batch shape ``()``."""
        return self.made({name: value[0] for name, value in self.values.items()})


def arguments_of(fn: Any, dim: int) -> Arguments:
    """Read the arguments of a program's distribution.

    Args:
        dim: of the rows in its batch shape, from the right.

    Raises:
        Unreadable: where they do not make the same distribution again.
    """
    base, place = fn, dim
    while isinstance(base, torch.distributions.Independent):
        place -= base.reinterpreted_batch_ndims
        base = base.base_dist
    known: dict[str, Any] = dict(getattr(base, "arg_constraints", {}))
    event_dims = len(base.batch_shape) - 1
    if isinstance(base, dist.Delta):
        known, event_dims = {"v": constraints.independent(constraints.real, base.event_dim)}, len(base.shape()) - 1
    values = {}
    for name in [name for name in known if ONE_OF.get(name) not in known]:
        value = getattr(base, name)
        value = value if isinstance(value, Tensor) else torch.as_tensor(float(value))
        inner = known[name].event_dim
        value = value.expand(*base.batch_shape, *value.shape[value.dim() - inner :])
        values[name] = value.movedim(place - inner, 0)
    found = Arguments(type(base), values, {name: known[name] for name in values}, event_dims)
    if not values or not _same(fn, dim, found):
        raise Unreadable(f"{type(base).__name__} cannot be made of its named arguments again")
    return found


def _same(fn: Any, dim: int, found: Arguments) -> bool:
    """Whether they make the same distribution, by its density at a draw."""
    if issubclass(found.kind, dist.Delta):
        return True
    try:
        with torch.no_grad(), forked():
            value = fn.sample()
            expected = summed(fn.log_prob(value).movedim(dim, 0), 1)
            density = found.made(found.values).log_prob(value.movedim(dim - fn.event_dim, 0))
    except (TypeError, ValueError, NotImplementedError, RuntimeError):
        return False
    return density.shape == expected.shape and torch.allclose(density, expected, rtol=1e-3, atol=1e-3)


@dataclass(frozen=True)
class Family:
    """The posteriors that the sites of a guide can have.

    Attributes:
        sites: in the order of z.
        free: the names of the arguments of each that x decides: these are lambda.
    """

    sites: tuple[Site, ...]
    free: dict[str, tuple[str, ...]]

    def read(self, found: Mapping[str, Arguments]) -> Tensor:
        """lambda, ``(N, P)``, of the arguments of each site."""
        parts = []
        for site in self.sites:
            own = found[site.name]
            free = [_bijection(own.constraints[name]).inv(own.values[name]) for name in self.free[site.name]]
            parts += [value.reshape(len(value), -1) for value in free]
        return torch.cat(parts, -1)

    def posterior(self, lam: Tensor, like: Mapping[str, Arguments]) -> TorchDistribution:
        """q of lambda, ``(..., P)``.

        Args:
            like: arguments of any rows: their shapes, and those that are no part of lambda.
        """
        lead, at, parts = lam.shape[:-1], 0, []
        for site in self.sites:
            own, given = like[site.name], {}
            for name, value in own.values.items():
                shape = value.shape[1:]
                if name not in self.free[site.name]:
                    given[name] = value[0].expand(*lead, *shape)
                    continue
                bijection = _bijection(own.constraints[name])
                shape = torch.Size(bijection.inverse_shape(shape))
                part = lam[..., at : at + prod(shape)]
                given[name] = bijection(part.reshape(*lead, *shape))
                at += prod(shape)
            parts.append(own.made(given))
        return product(parts, self.sites)


def _bijection(constraint: Any) -> Any:
    try:
        return biject_to(constraint)
    except NotImplementedError:
        return transform_to(constraint)
