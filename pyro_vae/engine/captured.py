"""The steps of a program as graphs, one for each kind of call."""

import math
import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from pyro.poutine.runtime import _PYRO_STACK
from torch import Tensor
from torch.distributions import Distribution

from pyro_vae.engine.arguments import Arguments, take_apart
from pyro_vae.engine.blame import CaptureError, refusal
from pyro_vae.engine.capture import Call, Rehearsal, rehearse, require_settled, trace
from pyro_vae.engine.graph import AuditError, Graph
from pyro_vae.engine.handlers import is_number, with_handlers
from pyro_vae.engine.numbers import Numbers, exact
from pyro_vae.engine.owner import Bound, NotBound
from pyro_vae.engine.program import Pass, Program
from pyro_vae.engine.surroundings import Slot, Walk, walk
from pyro_vae.engine.watch import Watch

#: the number of graphs that one engine keeps; other kinds of calls run eagerly
MAX_GRAPHS = 8
#: the number of kinds of calls that one engine remembers; others run eagerly
MAX_KINDS = 64


class Owner(Protocol):
    """The optimizer of the parameters, in one of two forms."""

    #: whether the first call of a kind is an eager step, in which the program makes its parameters
    first_by_itself: bool
    #: whether Pyro repeats a step that is not sound, with its own error or warning
    guarded: bool

    def bind(self, done: Pass) -> Bound | None:
        """The optimizer's step as part of a graph; None if the owner steps outside the graph."""

    def step(self, done: Pass) -> Pass:
        """Move the parameters by the gradients of a pass; returns the pass that moved them."""


Finish = Callable[[Graph, Arguments], Callable[[Arguments], Pass] | None]


@dataclass
class Entry:
    """A graph, and the numbers of the arguments that it holds as constants.

    Attributes:
        run: does the step.
        moves: whether ``run`` also moves the parameters.
        numbers: the place and value of each constant number.
    """

    graph: Graph
    run: Callable[[Arguments], Pass]
    moves: bool
    numbers: list[tuple[int, Any]]
    validates: bool | None  #: the user's choice to validate distributions, if the graph depends on it

    def fits(self, arguments: Arguments) -> bool:
        """Whether a call of this kind may run the graph."""
        if self.validates is not None and self.validates is not Distribution._validate_args:
            return False
        given = arguments.numbers
        for i, value in self.numbers:
            new = given[i]
            if new is not value and (new != value or type(new) is not type(value)):
                return False
        return self.graph.numbers.fit(given) and self.graph.holds()


@dataclass
class Seen:
    """The numbers at the last call of a kind. One that has changed since then becomes an input."""

    numbers: list[Any]
    watch: Watch
    fixed: set[Any] = field(default_factory=set)  #: places and indices of numbers that must stay constants
    failed: bool = False  #: whether the last pass that was to be captured raised an error


class Captured:
    """Steps as graphs.

    Args:
        program: the step's arithmetic.
        roots: the objects that the program consists of, by name.
        owner: moves the parameters.
        finish: prepares a new graph and returns the function that runs it, or None for the graph itself.
        audit: whether to run the program beside the graph at steps 2, 4, 8 and so on, and compare them.
        inputs: places whose numbers are inputs from the start.
    """

    def __init__(
        self,
        program: Program,
        roots: dict[str, Any],
        owner: Owner,
        finish: Finish = lambda graph, arguments: None,
        audit: bool = True,
        inputs: Sequence[Slot] = (),
    ):
        self.program, self.roots, self.owner, self.finish = program, roots, owner, finish
        self.audit, self.always = audit, list(inputs)
        self.entries: dict[Hashable, list[Entry]] = {}
        self.seen: dict[Hashable, Seen] = {}
        self.steps = 0
        self._said: set[str] = set()
        self._gradients: dict[int, tuple[Tensor, int]] = {}  # those that hold only zeros, by their parameters

    @property
    def graphs(self) -> list[Graph]:
        """The graphs that are kept."""
        return [entry.graph for entries in self.entries.values() for entry in entries]

    def __call__(self, args: tuple, kwargs: dict[str, Any]) -> Pass | None:
        """One step; None if the caller must take it eagerly.

        Raises:
            CaptureError: if the program is not static.
            AuditError: if the graph no longer computes the program's numbers.
        """
        arguments = take_apart(args, kwargs)
        if self.owner.guarded and not torch.is_grad_enabled():
            return None  # nothing is learned, as in Pyro
        if self.owner.guarded and any(t.requires_grad for t in arguments.tensors):
            self._say("an argument of the step takes a gradient, which only an eager step gives")
            return None
        if torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"):
            modes = [(d, torch.is_autocast_enabled(d), torch.get_autocast_dtype(d)) for d in ("cpu", "cuda")]
            arguments = arguments._replace(kind=(arguments.kind, *modes))
        handlers = with_handlers(arguments) if _PYRO_STACK else None
        if handlers is not None:
            arguments = handlers[0]
        entry = next((e for e in self.entries.get(arguments.kind, ()) if e.fits(arguments)), None)
        due = self.audit and self.steps > 0 and self.steps + 1 & self.steps == 0
        if entry is not None and self._owed(entry):
            return None
        if entry is not None and not due and self._ready(entry):
            return self._take(entry, arguments)
        places = handlers[1] if handlers else []
        roots = self._rooted(arguments)
        call = Call(self.program, roots, args, kwargs, arguments, places, self.owner.guarded)
        if entry is not None and due:
            entry.graph.check(call, rehearse(call))
            if self._ready(entry):
                return self._take(entry, arguments)
        if entry is not None:
            self.entries[arguments.kind].remove(entry)
        return self._new(call)

    def _owed(self, entry: Entry) -> bool:
        """Whether the next step is Pyro's, which adds its gradient to one that is there."""
        if not self.owner.guarded:
            return False
        for parameter in entry.graph.traced.layout.parameters:
            gradient, (seen, version) = parameter.grad, self._gradients.get(id(parameter), (None, 0))
            if gradient is None or (gradient is seen and gradient._version == version):
                continue
            if gradient.is_sparse or gradient.count_nonzero():
                return True
            self._gradients[id(parameter)] = gradient, gradient._version
        return False

    @staticmethod
    def _ready(entry: Entry) -> bool:
        """Whether the optimizer still fits the graph; if so, the graph takes its current rates."""
        return entry.graph.bound is None or entry.graph.bound.ready()

    def _take(self, entry: Entry, arguments: Arguments) -> Pass | None:
        """Run a graph. If its step is not sound, restore everything and return None."""
        self.steps += 1
        if not self.owner.guarded:
            return self.owner.step(entry.run(arguments)) if not entry.moves else entry.run(arguments)
        noise, buffers = torch.get_rng_state(), [t.clone() for t in entry.graph.traced.buffers]
        done = entry.run(arguments)
        if done.record.is_cpu and math.isnan(done.loss()):  # do not wait for a device
            torch.set_rng_state(noise)
            for buffer, old in zip(entry.graph.traced.buffers, buffers, strict=True):
                buffer.copy_(old)
            if entry.graph.bound is not None:
                entry.graph.bound.untick()
            return None
        if not entry.moves:
            done = self.owner.step(done)
            grads = [(p, p.grad) for p in done.parameters if p.grad is not None]
            self._gradients |= {id(p): (grad, grad._version) for p, grad in grads}  # Pyro's step has set them to 0
        return done

    def _say(self, reason: str) -> None:
        """Warn that steps run eagerly; once for each reason."""
        if reason not in self._said:
            warnings.warn(f"{reason}: such steps run eagerly", stacklevel=5)
            self._said.add(reason)

    def _rooted(self, arguments: Arguments) -> dict[str, Any]:
        return {**self.roots, **{f"argument {i}": each for i, each in enumerate(arguments.objects)}}

    def _new(self, call: Call) -> Pass | None:
        """A step of a kind that no graph fits."""
        kind, last = call.arguments.kind, self.seen.get(call.arguments.kind)
        if last is None and len(self.seen) >= MAX_KINDS:
            self._say(f"calls of {MAX_KINDS} kinds were seen; vary tensors and numbers alone, not other objects")
            return None
        if last is None and self.owner.first_by_itself:
            self._remember(call, walk(call.roots), None)
            return None
        if len(self.graphs) >= MAX_GRAPHS:
            self._say(f"graphs exist for {MAX_GRAPHS} other kinds of calls")
            return None
        try:
            entry = self._capture(call, last)
        except NotBound:
            entry = None
        if entry is None:
            self._remember(call, walk(call.roots), last)
            return None
        self.entries.setdefault(kind, []).insert(0, entry)
        if self._owed(entry) or not self._ready(entry):
            return None
        return self._take(entry, call.arguments)

    def _remember(self, call: Call, found: Walk, last: Seen | None) -> None:
        fixed = last.fixed if last else set()
        numbers = [(s, v) for s, v in found.slots if is_number(v)]
        self.seen[call.arguments.kind] = Seen(list(call.arguments.numbers), Watch(numbers), fixed)

    def _capture(self, call: Call, last: Seen | None) -> Entry | None:
        """A graph for this call; None if an eager step must come first: it makes parameters, or raises an error."""
        try:
            rehearsal = rehearse(call)
        except CaptureError:
            raise
        except Exception as error:
            if last is not None and last.failed:  # and Pyro's step was fine
                raise refusal(error, None) from error
            self._remember(call, walk(call.roots), last)
            self.seen[call.arguments.kind].failed = True
            return None
        changes = rehearsal.changes
        carried = changes.carried or changes.assigned
        if changes.created or (carried and not changes.reasons and last is None):
            return None  # the first pass may prepare the program for all others
        if changes.refusal is not None:
            raise CaptureError(f"no static graph: {changes.refusal}")
        if changes.assigned:
            require_settled(call, rehearsal)
        bound = self.owner.bind(rehearsal.done)
        indices, slots = _changed(call.arguments, last)
        always = {(id(s.owner), s.key) for s in self.always}
        slots = [s for s in slots if (id(s.owner), s.key) not in always]
        self._remember(call, rehearsal.walk, last)
        try:
            return self._graph(call, rehearsal, bound, (indices, slots))
        except (CaptureError, AuditError) as error:
            if not indices and not slots:
                if isinstance(error, AuditError):
                    raise CaptureError(f"no static graph: {error}") from error
                raise
        self.seen[call.arguments.kind].fixed |= {*indices, *((id(s.owner), s.key) for s in slots)}
        return self._graph(call, rehearsal, bound, ([], []))

    def _graph(
        self, call: Call, rehearsal: Rehearsal, bound: Bound | None, lifted: tuple[list[int], list[Slot]]
    ) -> Entry:
        like = next((p for p in rehearsal.done.parameters), rehearsal.done.record)
        numbers = Numbers(lifted[0], [*self.always, *lifted[1]], like)
        try:
            traced = trace(call, rehearsal.walk, numbers, bound)
        except CaptureError:
            if not call.guarded:
                raise  # a guarded call is traced again without validation, which may be the cause
            traced = trace(replace(call, validated=False), rehearsal.walk, numbers, bound)
        graph = Graph(traced, rehearsal.walk, [slot for slot, _ in rehearsal.changes.moved])
        graph.check(call, rehearsal)
        run = self.finish(graph, call.arguments)
        static = [(i, v) for i, v in enumerate(call.arguments.numbers) if i not in lifted[0]]
        moves = bound is not None or bool(getattr(run, "moves", False))
        return Entry(graph, run or graph, moves, static, Distribution._validate_args if call.guarded else None)


def _changed(arguments: Arguments, last: Seen | None) -> tuple[list[int], list[Slot]]:
    """The numbers that changed since the last call of this kind: indices among the arguments, and other places."""
    if last is None:
        return [], []
    pairs = enumerate(zip(arguments.numbers, last.numbers, strict=True))
    indices = [i for i, (new, old) in pairs if new != old and exact(new) and i not in last.fixed]
    slots = [
        slot
        for slot, _, new in last.watch.changed()
        if is_number(new) and exact(new) and (id(slot.owner), slot.key) not in last.fixed
    ]
    return indices, slots
