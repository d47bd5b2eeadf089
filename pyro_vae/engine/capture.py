"""A Pyro step as a graph of tensor operations, with Pyro, autograd and Python gone from it.

``make_fx`` runs the step once, through Pyro's handlers and through autograd, and writes down each ATen operation that
reaches the dispatcher. Three steps: :func:`rehearse` runs the program as it is, :func:`trace` writes it down, and
:class:`~pyro_vae.engine.graph.Graph` runs what was written.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.utils._pytree as pytree
from pyro.ops.provenance import detach_provenance
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from pyro_vae.engine.arguments import Arguments, put_together
from pyro_vae.engine.blame import CaptureError, SiteRecorder, refusal
from pyro_vae.engine.numbers import Numbers, placed
from pyro_vae.engine.origins import Origins
from pyro_vae.engine.owner import Bound, NotBound
from pyro_vae.engine.program import Pass, Program, leaves
from pyro_vae.engine.rewrite import drop_checks, drop_unused, lift, stay_on_device, without_last
from pyro_vae.engine.static import answered
from pyro_vae.engine.surroundings import Slot, Walk
from pyro_vae.engine.untouched import Changes, untouched


@dataclass
class Call:
    """One call of a program: what is traced, and compared.

    Attributes:
        program: the step's arithmetic.
        roots: the objects that the program consists of, by name.
        args, kwargs: of the step.
        arguments: the same, taken apart; the last of its numbers are those of handlers around the step.
        handlers: the places of these.
        guarded: whether a step whose loss is no number is to move nothing.
        validated: whether one with a sample outside its support is such a step, where the user validates.
    """

    program: Program
    roots: dict[str, Any]
    args: tuple
    kwargs: dict[str, Any]
    arguments: Arguments
    handlers: list[Slot] = field(default_factory=list)
    guarded: bool = False
    validated: bool = True


@dataclass
class Rehearsal:
    """What a pass of the program computed, and what it did besides."""

    done: Pass
    sites: list[tuple[str, Tensor]]
    walk: Walk
    changes: Changes


def rehearse(call: Call, validate: bool = True) -> Rehearsal:
    """Run the program eagerly and leave no trace, with the user's validation."""
    origins = Origins(refuse=False)
    with untouched(call.roots, origins) as (walk, changes), SiteRecorder() as recorder, origins:
        done = call.program(call.args, call.kwargs, validate=validate)
    return Rehearsal(done, recorder.sums, walk, changes)


@dataclass
class Traced:
    """A step as it was written down.

    Attributes:
        module: the graph; its inputs are ``constants``, then the numbers, then the tensors of the batch. Its outputs
            are those of the pass, then the sums over the sites.
        constants: the tensors that the program reads besides its batch (parameters, buffers, data it closes over, the
            optimizer's state); they are the program's own, so that a change of theirs is seen by the next run.
        numbers: what is an input as a number.
        used: which of the numbers and of the batch the graph reads.
        layout: how the outputs are a :class:`Pass` again.
        sites: the names of the sites.
        guards: tensors whose values are part of the graph, with their versions.
        bound: the optimizer, where its step is part of the graph.
        buffers: what else the graph writes to of the program's own.
    """

    module: fx.GraphModule
    constants: list[Tensor]
    numbers: Numbers
    layout: "Layout"
    sites: list[str]
    guards: list[tuple[Tensor, int]]
    bound: Bound | None
    buffers: list[Tensor]
    used: list[int] = field(default_factory=list)


class Layout:
    """How a :class:`Pass` is a list of tensors, and the list a pass again."""

    def __init__(self, done: Pass, with_gradients: bool):
        shown = done if with_gradients else done._replace(gradients=(None,) * len(done.gradients))
        leaves, self.spec = pytree.tree_flatten(shown._replace(parameters=()))
        self.parameters = done.parameters
        self.gradients = [gradient is not None for gradient in done.gradients]
        self.held = [None if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        self.is_tensor = [isinstance(leaf, Tensor) for leaf in leaves]
        self.tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        alone = sum(self.is_tensor) == 1  # as in a step with the optimizer in it, of an ELBO without terms
        self._alone = shown._replace(record=None) if alone else None  # type: ignore[arg-type]

    def take(self) -> list[Tensor]:
        """The tensors of the pass, once."""
        tensors, self.tensors = self.tensors, []
        return tensors

    def together(self, outputs: Sequence[Tensor]) -> Pass:
        """The outputs of a graph as a pass."""
        if self._alone is not None:
            return self._alone._replace(record=outputs[0])
        given = iter(outputs)
        leaves = [next(given) if t else held for t, held in zip(self.is_tensor, self.held, strict=True)]
        return pytree.tree_unflatten(leaves, self.spec)._replace(parameters=self.parameters)


def trace(call: Call, walk: Walk, numbers: Numbers, bound: Bound | None) -> Traced:
    """Write a call down; no trace of it is left.

    Raises:
        CaptureError: where the program's operations depend on its data.
    """
    batch = [t.detach() for t in call.arguments.tensors]  # each by itself, or one given twice would be one input
    known = {id(t): t for t in leaves()}
    known |= {id(t): t for m in walk.modules for h in (m._parameters, m._buffers) for t in h.values() if t is not None}
    known |= {id(t): t for t in call.program.parameters or ()}
    if bound is not None:
        known |= {id(t): t for t in (*bound.tensors(), *(e.parameter for e in bound.entries))}
    constants = list(known.values())
    numbers.read(call.arguments.numbers)
    origins = Origins([*_moving(call, constants, bound), *numbers.tensors, *batch])
    recorder = SiteRecorder()
    box: list[Layout] = []

    def step(*inputs: Tensor) -> list[Tensor]:
        scalars = inputs[len(constants) : len(constants) + len(numbers.tensors)]
        given = inputs[len(constants) + len(scalars) :]
        now = numbers.of(call.arguments.numbers, scalars)
        args, kwargs = put_together(call.args, call.kwargs, iter(given), iter(now))
        around = now[len(now) - len(call.handlers) :]
        with origins, answered() as asked, numbers.live(scalars), placed(call.handlers, around), recorder:
            done = call.program(args, kwargs, validate=call.guarded and call.validated)
        if call.guarded:
            done, sound = _checked(done, [t for t in asked if origins.origin(t) != ()])
        box.append(Layout(done, with_gradients=bound is None))
        if bound is not None:
            with torch.no_grad():
                present = [(p, g) for p, g in zip(done.parameters, done.gradients, strict=True) if g is not None]
                if [id(p) for p, _ in present] != [id(e.parameter) for e in bound.entries]:
                    raise NotBound
                with origins:
                    bound.move([g for _, g in present], sound if call.guarded else None)
        return [*box[0].take(), *(total for _, total in recorder.sums)]

    # the names under which the pass ran are those of the objects, so that what it changes is told by name
    with untouched(call.roots, origins) as (_, changes), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the program warns of was heard in the first pass
        try:
            # CUDA's backward pass would otherwise run in a thread that has no part in tracing.
            with torch.autograd.set_multithreading_enabled(False):
                module = make_fx(step)(*constants, *numbers.tensors, *batch)
        except (NotBound, KeyboardInterrupt):
            raise
        except Exception as error:
            raise refusal(error, recorder.last) from error
    if changes.reasons:
        raise CaptureError(f"no static graph: {changes.reasons[0]}")
    constants += lift(module, after=len(constants))
    sites = [name for name, _ in recorder.sums]
    guards = [(t, v) for t, v in origins.guards.values()]
    moved = set() if bound is None else {id(t) for t in (*bound.tensors(), *(e.parameter for e in bound.entries))}
    buffers = [t for t, _ in origins.written if id(t) not in moved]
    traced = Traced(module, constants, numbers, box[0], sites, guards, bound, buffers)
    if any(t.is_cuda for t in constants):
        drop_checks(module)
        stay_on_device(module, origins)
    _drop_unused(traced)
    _refuse_carried(traced, changes)
    for node in module.graph.nodes:
        node.meta.clear()  # what was seen while tracing; a compiler fills in its own
    return traced


def _checked(done: Pass, asked: Sequence[Tensor]) -> tuple[Pass, Tensor]:
    """A pass whose record is NaN where its loss is or something that was asked is false; and whether neither is."""
    with torch.no_grad():  # a wrapper that tells where a value comes from would not be written down
        record = detach_provenance(done.record)
        sound = ~record[0].isnan()
        for inside in asked:
            sound = sound & detach_provenance(inside).to(sound.device)
        return done._replace(record=torch.where(sound, record, torch.nan)), sound


def _moving(call: Call, constants: Sequence[Tensor], bound: Bound | None) -> list[Tensor]:
    """The constants that a step moves: what depends on them changes from step to step."""
    if call.program.parameters is not None:
        return list(call.program.parameters)
    held = [] if bound is None else bound.tensors()
    return [t for t in constants if t.requires_grad] + held


def _drop_unused(traced: Traced) -> None:
    """Leave out the inputs that the graph does not read."""
    count, read = len(traced.constants), drop_unused(traced.module)
    traced.constants = [traced.constants[i] for i in read if i < count]
    traced.used = [i - count for i in read if i >= count]


def _refuse_carried(traced: Traced, changes: Changes) -> None:
    """Refuse what each pass assigns anew and the next pass reads: a graph would read what was there at capture."""
    read = {id(t) for t in traced.constants}
    for slot, old in changes.moved:
        if id(old) in read:
            raise CaptureError(
                f"no static graph: {slot.path} is assigned in each pass and read by the next one; change the tensor in"
                " place, as with copy_()"
            )


def without_sites(traced: Traced) -> fx.GraphModule:
    """The graph without the sums over the sites: what a step runs."""
    return without_last(traced.module, len(traced.sites))
