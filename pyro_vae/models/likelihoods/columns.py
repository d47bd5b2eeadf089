"""The likelihood of a table: each column has a distribution of its own kind."""

from collections.abc import Iterator, Sequence
from math import nan, prod
from typing import Literal, NamedTuple

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyro_vae.columns import Column
from pyro_vae.distributions.by_column import ByColumn, Group
from pyro_vae.models.likelihoods.base import Likelihood
from pyro_vae.models.likelihoods.kinds import KINDS, About, Kind
from pyro_vae.models.likelihoods.table_inputs import TableInputs


class _Part(NamedTuple):
    """The columns of one kind: their places, those of their numbers in the decoder's output, and what is known."""

    kind: Kind
    places: Tensor  # (G,)
    locations: Tensor  # (G,), or (G, C) of a Categorical
    shapes: list[Tensor]  # (G,) each, counted from the first shape
    about: About


class Columns(Likelihood):
    """Independent columns given z, each with a likelihood of its kind: log densities are in each column's own units.

    Kinds are Gaussian, StudentT, LogNormal, Bernoulli, Categorical (a few numbers), Poisson and NegativeBinomial. The
    run guesses them from the data and keeps them; ``--columns NAME=KIND`` gives one. Data stay in their own units;
    inside, each column is standardised by its training values, and the density has the Jacobian of it. So nats of a row
    do not depend on how the run standardises, but on the units of the columns they do. Missing values (NaN) are left
    out.

    Args:
        image_shape: 1, 1, P for a table of P columns.
        scale: where parameters beside the location come from (standard deviations, degrees of freedom, dispersions):
            "learned" learns one for each column; "decoded" lets the decoder give them for each row.
        min_scale: a standard deviation never falls below this part of the column's own. A density has no upper bound,
            so the floor is part of the result.
        columns: the columns, found in the data; without them all are Gaussian, with centre 0 and scale 1.

    Raises:
        ValueError: if ``min_scale`` is not positive, or there are not P columns.
    """

    allows_missing = True
    of_columns = True
    order: Tensor  #: of the places, in the kinds' values one after another
    inside: Tensor  #: a number in the support of each value

    def __init__(
        self,
        image_shape: tuple[int, ...],
        scale: Literal["learned", "decoded"] = "learned",
        min_scale: float = 0.05,
        columns: Sequence[Column] | None = None,
    ):
        super().__init__(image_shape)
        count = prod(image_shape)
        self.columns = tuple(columns or (Column(f"column {i + 1}") for i in range(count)))
        if min_scale <= 0:
            raise ValueError(f"min_scale must be positive, not {min_scale}")
        if len(self.columns) != count:
            raise ValueError(f"there are {len(self.columns)} columns for rows of {count} values")
        self.decoded, self.min_scale = scale == "decoded", min_scale
        widths = [max(1, len(one.levels)) for one in self.columns]
        further = [KINDS[one.kind].shapes for one in self.columns]
        self.num_locations = sum(widths)
        if not self.decoded:
            self.raw_shape = nn.Parameter(torch.zeros(sum(further)))
        self._index(widths, further)

    def _index(self, widths: list[int], further: list[int]) -> None:
        """Buffers of the places of every kind, which follow from the columns."""
        first = [sum(widths[:i]) for i in range(len(widths))]
        first_shape = [sum(further[:i]) for i in range(len(further))]
        self.kinds = [kind for kind in KINDS if any(one.kind == kind for one in self.columns)]
        placed: list[int] = []
        inside = torch.zeros(len(self.columns))
        for kind in self.kinds:
            here = [i for i, one in enumerate(self.columns) if one.kind == kind]
            placed += here
            wide = max(widths[i] for i in here)
            rows = [[first[i] + min(c, widths[i] - 1) for c in range(wide)] for i in here]
            self._keep(kind, "locations", torch.tensor(rows) if kind == "Categorical" else torch.tensor(rows)[:, 0])
            self._keep(kind, "places", torch.tensor(here))
            for s in range(KINDS[kind].shapes):
                self._keep(kind, f"shape{s}", torch.tensor([first_shape[i] + s for i in here]))
            for name, empty in (("levels", nan), ("shares", 0.0)):
                padded = [[*getattr(self.columns[i], name), *[empty] * wide][:wide] for i in here]
                self._keep(kind, name, torch.tensor(padded))
            self._keep(kind, "centre", torch.tensor([self.columns[i].centre for i in here]))
            self._keep(kind, "scale", torch.tensor([self.columns[i].scale for i in here]))
            inside[here] = KINDS[kind].fill(self._about(kind))
        self.register_buffer("order", torch.tensor(placed).argsort(), persistent=False)
        self.register_buffer("inside", inside.reshape(self.image_shape), persistent=False)

    def _keep(self, kind: str, name: str, values: Tensor) -> None:
        self.register_buffer(f"{kind}_{name}", values, persistent=False)

    def _about(self, kind: str) -> About:
        centre, scale, levels, shares = (getattr(self, f"{kind}_{name}") for name in About._fields[:4])
        return About(centre, scale, levels, shares, self.min_scale)

    def _parts(self) -> Iterator[_Part]:
        for kind in self.kinds:
            shapes = [getattr(self, f"{kind}_shape{s}") for s in range(KINDS[kind].shapes)]
            places, locations = (getattr(self, f"{kind}_{name}") for name in ("places", "locations"))
            yield _Part(KINDS[kind], places, locations, shapes, self._about(kind))

    @property
    def fill(self) -> Tensor:  # type: ignore[override]
        return self.inside

    @property
    def output_shape(self) -> tuple[int, ...]:
        further = sum(KINDS[one.kind].shapes for one in self.columns) if self.decoded else 0
        whole = self.num_locations + further
        return self.image_shape if whole == prod(self.image_shape) else (1, 1, whole)

    def by_column(self, output: Tensor) -> ByColumn:
        """A distribution of each value: ``(..., *output_shape)`` to a batch_shape ``(..., *image_shape)``."""
        flat = output.flatten(-len(self.output_shape))
        shapes = flat[..., self.num_locations :] if self.decoded else self.raw_shape
        groups = []
        for part in self._parts():
            further = [shapes[..., at] for at in part.shapes]
            groups.append(Group(part.places, part.kind.make(flat[..., part.locations], further, part.about)))
        return ByColumn(groups, self.order, self.image_shape)

    def encoder_inputs(self, mask: bool) -> TableInputs:
        return TableInputs(self.columns, mask)

    def forward(self, output: Tensor) -> dist.TorchDistribution:
        return self.independent(self.by_column(output))

    def initial_output(self, mean_image: Tensor) -> Tensor:
        """The locations of the means; a Categorical starts at the shares of its levels, shapes at 0."""
        mean = mean_image.flatten()
        output = mean.new_zeros(prod(self.output_shape))
        for part in self._parts():
            start = part.kind.start(mean[part.places], part.about).to(output.dtype)
            real = part.about.levels.isnan().logical_not() if part.locations.dim() == 2 else slice(None)
            output[part.locations[real]] = start[real]
        return output.reshape(self.output_shape)
