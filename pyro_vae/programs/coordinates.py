"""From the latent sites of a program to z, a vector for each row, and back.

z has the sites in the order of their names, each in unconstrained coordinates: a site whose values are all of the real
line is itself, a positive one its logarithm, and so on by ``torch.distributions.biject_to``. Densities of z count the
volume that this changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.distributions import biject_to, constraints
from torch.distributions.transforms import Transform

ONE = torch.Size()  #: the shape of one draw


@dataclass(frozen=True)
class Site:
    """A latent site of the rows' plate, of continuous values.

    Attributes:
        place: the dimension of the rows in its values, from the right.
        shape: of one row's value.
        transform: from unconstrained coordinates; None where the values are unconstrained already.
    """

    name: str
    place: int
    shape: torch.Size
    transform: Transform | None

    @property
    def free_shape(self) -> torch.Size:
        """Of one row's unconstrained coordinates."""
        return self.shape if self.transform is None else self.transform.inverse_shape(self.shape)

    @property
    def size(self) -> int:
        """How many dimensions of z it has."""
        return prod(self.free_shape)


def transform_of(support: Any) -> Transform | None:
    """The transform to a support; None to the real line or space.

    Raises:
        NotImplementedError: where torch knows none.
    """
    inner = support
    while isinstance(inner, constraints.independent):
        inner = inner.base_constraint
    return None if inner is constraints.real else biject_to(support)


def summed(values: Tensor, rows: int) -> Tensor:
    """Over all dimensions after the first ``rows`` ones."""
    return values.flatten(rows).sum(-1) if values.dim() > rows else values


def natural(sites: Sequence[Site], z: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """The values of the sites, as the program has them, and the log volume that one unit of z becomes.

    Args:
        z: ``(R, D)``.

    Returns:
        values by name, and ``(R,)``.
    """
    values, log_volume = {}, torch.zeros_like(z[:, 0])
    for site, part in zip(sites, z.split([site.size for site in sites], -1), strict=True):
        value = free = part.reshape(-1, *site.free_shape)
        if site.transform is not None:
            value = site.transform(free)
            log_volume = log_volume + summed(site.transform.log_abs_det_jacobian(free, value), 1)
        values[site.name] = value.movedim(0, site.place)
    return values, log_volume
