"""Passes over the two programs of a pair, and the parameters of both as those of two torch modules."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from pyro import poutine
from pyro.poutine import Trace
from pyro.poutine.messenger import Messenger
from pyro.poutine.subsample_messenger import _Subsample
from pyro.poutine.util import prune_subsample_sites
from torch import Tensor, nn

from pyro_vae.errors import InputError
from pyro_vae.objectives.sites import sample_sites
from pyro_vae.programs.layout import Layout, dim_in, look
from pyro_vae.programs.rows import Rowwise, alone, repeated
from pyro_vae.programs.weights import Program, Weights
from pyro_vae.seeds import seeded


class Part(nn.Module):
    """What model and guide of a pair share: their parameters, and the state of the modules that these are not."""

    programs: "Programs"

    def hold(self, parameters: dict[str, Tensor]) -> None:
        """Take these as the module's parameters; the programs use the same tensors."""
        self.weight = nn.ParameterDict({_key(name): value for name, value in parameters.items()})

    def _apply(self, fn: Callable, recurse: bool = True) -> Any:
        for module in self.programs.weights.modules:
            module._apply(fn)
        return super()._apply(fn, recurse)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name, value in self._others():
            destination[f"{prefix}other.{name}"] = value if keep_vars else value.detach()

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        missing = args[2]
        with torch.no_grad():
            for name, value in self._others():
                key = f"{prefix}other.{name}"
                if key in state_dict:
                    value.copy_(state_dict.pop(key))
                else:
                    missing.append(key)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _others(self) -> Iterable[tuple[str, Tensor]]:
        """Buffers, and parameters that no statement of Pyro names, which Pyro leaves as they are."""
        if self.programs.parts is None or self.programs.parts[0] is not self:
            return
        held = {id(p) for part in self.programs.parts for p in part.parameters()}
        for i, module in enumerate(self.programs.weights.modules):
            for name, value in (*module.named_parameters(), *module.named_buffers()):
                if id(value) not in held:
                    yield f"{i}.{name}", value


def _key(name: str) -> str:
    return name.replace(".", "-")  # a ParameterDict takes no dots


class Programs:
    """The two programs, their weights, and what is known of them.

    Attributes:
        num_rows: of the training data, among which a latent site that all share is divided; None where it is not known.
    """

    def __init__(self, model: Program, guide: Program):
        self.model, self.guide = model, guide
        self.weights = Weights(model, guide)
        self.num_rows: int | None = None
        self.parts: tuple[Part, Part] | None = None
        self._layout: Layout | None = None
        self._shared: tuple[Any, dict[str, Tensor]] | None = None

    def known(self) -> Layout | None:
        """What is known without a look."""
        return self._layout

    def layout(self, x: Tensor) -> Layout:
        """What passes over rows of x show; the first call makes them."""
        if self._layout is None:
            found, parameters = look(self.model, self.guide, self.weights, x.detach())
            self.weights.keep({name for part in parameters.values() for name in part})
            assert self.parts is not None
            for part, own in zip(self.parts, parameters.values(), strict=True):
                part.hold({name: self.weights.store["params"].get(name, value) for name, value in own.items()})
            self._layout = found
        if x.shape[1:] != self._layout.row_shape:
            raise InputError(
                f"x has rows of shape {tuple(x.shape[1:])}, and the pair saw {tuple(self._layout.row_shape)}"
            )
        return self._layout

    def require(self) -> Layout:
        """What is known.

        Raises:
            InputError: before the pair has seen rows.
        """
        if self._layout is None:
            raise InputError("the pair has not seen rows yet: give some by wrap(model, guide, x)")
        return self._layout

    @contextmanager
    def outside(self, x: Tensor, training: bool, drawn: bool = False) -> Iterator[Tensor]:
        """In this context a program that is given the rows yielded shows its sites to the handlers around it."""
        layout = self.layout(x)
        fixed = None if training else self.shared(x)
        one = (layout.observed[0], layout.row_shape) if drawn else None
        sites = {site.name: site for site in layout.sites}
        with alone() as frames:
            rows = repeated(layout.typed(x), torch.Size([frame.size for frame in frames]))
            # all draws share one value of theta, and an objective divides by their number
            share = len(rows) / (len(x) if self.num_rows is None else self.num_rows)
            handler = Rowwise(layout.plate, sites, frames, len(x), fixed, share, one)
            with self.weights.active(training), handler:
                yield rows

    def trace(self, program: Callable, x: Tensor) -> Trace:
        """The sites of a pass in evaluation mode, as the program has them, hidden from all handlers around."""
        with poutine.block(), alone(), self.weights.active(training=False):
            return prune_subsample_sites(poutine.trace(program).get_trace(self.require().typed(x)))

    def shared(self, x: Tensor) -> dict[str, Tensor]:
        """The latent sites that all rows share at their means under the guide, by name.

        One that depends on others (an autoguide's, which is a function of a draw) is at its mean given theirs.
        """
        plate = self.require().plate
        if not self.require().shared:
            return {}
        assert self.parts is not None
        stamp = [(p.data_ptr(), p._version) for part in self.parts for p in part.parameters()]
        if self._shared is None or self._shared[0] != stamp:
            with torch.no_grad(), seeded(0):
                trace = self.trace(_AtMeans(plate)(self.guide), x[:2])
            sites = ((name, site) for name, site in sample_sites(trace) if dim_in(site, plate) is None)
            found = {name: site["value"] for name, site in sites}
            if missing := [name for name in self.require().shared if name not in found]:
                raise InputError(
                    f"the guide has no site {missing[0]!r} of the model, which all rows share: draw it there"
                )
            self._shared = stamp, found
        return self._shared[1]


class _AtMeans(Messenger):
    """Gives the latent sites outside the rows' plate their means instead of draws."""

    def __init__(self, plate: str):
        super().__init__()
        self.plate = plate

    def _pyro_sample(self, msg: Any) -> None:
        own = not (msg["is_observed"] or msg["done"] or isinstance(msg["fn"], _Subsample))
        if own and dim_in(msg, self.plate) is None:
            msg["value"], msg["done"] = _mean(msg["fn"]), True


def _mean(fn: Any) -> Tensor:
    try:
        return fn.mean.detach()
    except NotImplementedError:
        with torch.no_grad(), seeded(0):
            return fn.sample((1000,)).mean(0)
