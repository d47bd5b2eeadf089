"""Lets a program that is written for rows of x run inside plates of draws.

A tutorial's model reshapes (``x.reshape(-1, 784)``) or calls networks that take one batch dimension, so that a plate of
draws around it breaks it. Here the program sees each row as often as there are draws, and outside each of its sites has
the draws' dimensions and the rows' one: ``(S, N)``.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import pyro
import torch
from pyro.distributions import TorchDistribution
from pyro.poutine.indep_messenger import CondIndepStackFrame
from pyro.poutine.messenger import Messenger, block_messengers
from pyro.poutine.runtime import _DIM_ALLOCATOR
from pyro.poutine.subsample_messenger import _Subsample
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.transforms import Transform

from pyro_vae.errors import InputError
from pyro_vae.programs.coordinates import ONE, Site, summed


@contextmanager
def alone() -> Iterator[list[CondIndepStackFrame]]:
    """Hides the plates around a program from it; yields their frames, from the left to the right."""
    with block_messengers(lambda handler: isinstance(handler, pyro.plate)) as hidden:
        found: list[Any] = list(hidden)
        plates = sorted(found, key=lambda plate: plate.dim)
        taken, _DIM_ALLOCATOR._stack = _DIM_ALLOCATOR._stack, []
        try:
            yield [CondIndepStackFrame(p.name, p.dim, p.subsample_size, p.counter, p.size) for p in plates]
        finally:
            _DIM_ALLOCATOR._stack = taken


def repeated(x: Tensor, lead: torch.Size) -> Tensor:
    """Rows ``(N, ...)`` as ``(S * N, ...)``, the draws' dimensions ``lead`` before the rows'."""
    return x if not lead else x.expand(*lead, *x.shape).flatten(0, len(lead))


def different(x: Tensor, among: int = 1000) -> list[int]:
    """Three rows among the first ones, different ones if there are: equal rows do not show what depends on x."""
    found = [0]
    for i in range(1, min(len(x), among)):
        if not any(torch.equal(x[i], x[j]) for j in found):
            found.append(i)
        if len(found) == 3:
            break
    return (3 * found)[:3]


class Rows(TorchDistribution):
    """A program's distribution over R rows, as one of batch shape ``batch``, of as many elements.

    Args:
        fn: the program's, in whose batch shape one dimension is that of the rows.
        place: that dimension, from the right, in its values.
        batch: for example draws and images, ``(S, N)``.
        transform: to fn's support, where values are in unconstrained coordinates.
        shape: of one row's value; by default as the program and the transform make it.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real  #: of z; observed sites are not asked

    def __init__(
        self,
        fn: TorchDistribution,
        place: int,
        batch: torch.Size,
        transform: Transform | None = None,
        shape: torch.Size | None = None,
    ):
        self.fn, self.place, self.transform = fn, place, transform
        whole = fn.shape()
        row = whole[: len(whole) + place] + whole[len(whole) + place + 1 :]
        if shape is None:
            shape = row if transform is None else torch.Size(transform.inverse_shape(row))
        self.row = row
        self.last: tuple[Tensor, Tensor] | None = None  # some distributions score only the tensor that they drew
        super().__init__(batch, shape, validate_args=False)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return self.fn.has_rsample

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Rows":
        assert torch.Size(batch_shape) == self.batch_shape, "a program's rows have their draws already"
        return self

    def rsample(self, sample_shape: Any = ONE) -> Tensor:
        assert not sample_shape
        drawn = self.fn.rsample() if self.has_rsample else self.fn.sample()
        found = self.outside(drawn)
        self.last = (found, drawn)
        return found

    def sample(self, sample_shape: Any = ONE) -> Tensor:
        with torch.no_grad():
            return self.rsample(sample_shape)

    def outside(self, value: Tensor) -> Tensor:
        """The program's value as it is seen outside."""
        value = value.expand(self.fn.shape()).movedim(self.place, 0)
        if self.transform is not None:
            value = self.transform.inv(value)
        return value.reshape(self.batch_shape + self.event_shape)

    def inside(self, value: Tensor) -> Tensor:
        """The value as the program sees it."""
        if self.last is not None and self.last[0] is value:
            return self.last[1]
        return self._natural(value)[1].movedim(0, self.place)

    def _natural(self, value: Tensor) -> tuple[Tensor, Tensor]:
        rows = value.shape[: value.dim() - len(self.event_shape)].numel()  # not -1: a factor's value has no elements
        if self.transform is None:
            value = value.reshape(rows, *self.row)
            return value, value
        free = value.reshape(rows, *self.event_shape)
        return free, self.transform(free)

    def log_prob(self, value: Tensor) -> Tensor:
        log_prob = self.fn.log_prob(self.inside(value)).movedim(self.place + self.fn.event_dim, 0)
        log_prob = summed(log_prob, 1)
        if self.transform is not None:
            log_prob = log_prob + summed(self.transform.log_abs_det_jacobian(*self._natural(value)), 1)
        return log_prob.reshape(self.batch_shape)


def require_scale_of_rows(site: Any, dim: int) -> None:
    """Refuse a scale that is not one number, or one for each row.

    Args:
        dim: of the rows in the site's batch shape, from the right.

    Raises:
        InputError: where parts of one row have scales of their own.
    """
    shape = site["scale"].shape if isinstance(site["scale"], Tensor) else ()
    if any(size > 1 and at != dim for at, size in zip(range(-len(shape), 0), shape, strict=True)):
        raise InputError(
            f"poutine.scale around site {site['name']!r} has the shape {tuple(shape)}, and so a scale for each part of"
            " a row: give one number, or one for each row"
        )


class Rowwise(Messenger):
    """Shows the sites of a program outside, each with draws and rows as its batch shape.

    What a subsampled plate of the rows scales is left unscaled: figures are per row.

    Args:
        plate: the name of the rows' plate.
        sites: the latent ones by name.
        frames: of the plates around the program.
        rows: how many the caller has.
        fixed: values of the latent sites that all rows share; these are then not shown. Others are shown with a scale.
        share: of these sites that the rows at hand have.
        drawn: the observed site that is drawn, and shown as "x"; its shape for one row.
    """

    def __init__(
        self,
        plate: str,
        sites: Mapping[str, Site],
        frames: list[CondIndepStackFrame],
        rows: int,
        fixed: Mapping[str, Tensor] | None = None,
        share: float = 1.0,
        drawn: tuple[str, torch.Size] | None = None,
    ):
        super().__init__()
        self.plate, self.sites, self.frames, self.fixed, self.drawn = plate, sites, frames, fixed, drawn
        self.batch = torch.Size([*(frame.size for frame in frames), rows])
        self.share = share

    def _pyro_sample(self, msg: Any) -> None:
        frame = next((frame for frame in msg["cond_indep_stack"] if frame.name == self.plate), None)
        if isinstance(msg["fn"], _Subsample) or msg["infer"].get("_deterministic"):
            msg["stop"] = True
        elif frame is None:
            self._shared(msg)
        else:
            self._of_rows(msg, frame)

    def _shared(self, msg: Any) -> None:
        if self.fixed is None:
            msg["scale"] = msg["scale"] * self.share
            return
        msg["stop"] = True
        if not msg["is_observed"]:
            msg["value"], msg["done"] = self.fixed[msg["name"]], True

    def _of_rows(self, msg: Any, frame: Any) -> None:
        fn, site = msg["fn"], self.sites.get(msg["name"])
        place = frame.dim - fn.event_dim
        if frame.full_size not in (None, frame.size):
            msg["scale"] = msg["scale"] * (frame.size / frame.full_size)
        shape = None
        if self.drawn is not None and msg["name"] == self.drawn[0]:
            msg["name"], msg["is_observed"], msg["value"], msg["done"] = "x", False, None, False
            shape = self.drawn[1]
        transform = None if site is None else site.transform
        msg["cond_indep_stack"] = (frame._replace(dim=-1, size=self.batch[-1], full_size=None), *self.frames)
        if len(self.batch) == 1 and len(fn.batch_shape) == 1 and transform is None and shape is None:
            return  # it is what it should be
        self._marks(msg, frame.dim)
        msg["fn"] = rows = Rows(msg["fn"], place, self.batch, transform, shape)
        if msg["is_observed"]:
            msg["value"] = rows.outside(msg["value"])

    def _marks(self, msg: Any, dim: int) -> None:
        """Masks and scales of single rows; a mask of parts of a row becomes a part of the distribution.

        Args:
            dim: of the rows in the site's batch shape, from the right.

        Raises:
            InputError: where parts of one row have scales of their own.
        """
        fn, mask, scale = msg["fn"], msg["mask"], msg["scale"]
        if isinstance(mask, Tensor) and len(fn.batch_shape) > 1:
            msg["fn"], msg["mask"] = fn.mask(mask), None
        elif isinstance(mask, Tensor) and mask.dim():
            msg["mask"] = mask.expand(fn.batch_shape).reshape(self.batch)
        if isinstance(scale, Tensor) and scale.dim():
            require_scale_of_rows(msg, dim)
            msg["scale"] = scale.expand(fn.batch_shape).movedim(dim, 0).flatten(1)[:, 0].reshape(self.batch)

    def _pyro_post_sample(self, msg: Any) -> None:
        if isinstance(msg["fn"], Rows):
            msg["value"] = msg["fn"].inside(msg["value"])
