"""A Pyro step as a graph of tensor operations, without Pyro, autograd and Python.

``make_fx`` runs the step once, through Pyro's handlers and through autograd, and records each ATen operation that
reaches the dispatcher. There are three stages: ``rehearse`` runs the program eagerly, ``trace`` records it, and
``Graph`` of :mod:`pyro_vae.engine.graph` runs the recorded operations.
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
from pyro_vae.engine.lookups import ran
from pyro_vae.engine.numbers import Numbers, placed
from pyro_vae.engine.origins import Origins
from pyro_vae.engine.owner import Bound, NotBound
from pyro_vae.engine.precision import prefers_onednn
from pyro_vae.engine.program import Pass, Program, leaves
from pyro_vae.engine.rewrite import drop_checks, drop_unused, lift, stay_on_device, without_last
from pyro_vae.engine.static import answered
from pyro_vae.engine.surroundings import Slot, Walk
from pyro_vae.engine.untouched import Changes, untouched

#: devices whose steps may be recorded as CUDA graphs; "meta" stands for them in tests
RECORDED = ("cuda", "meta")


@dataclass
class Call:
    """One call of a program, to trace it or to compare it with its graph.

    Attributes:
        program: the step's arithmetic.
        roots: the objects that the program consists of, by name.
        args, kwargs: of the step.
        arguments: the same, taken apart; the last of its numbers are those of Pyro's handlers around the step.
        handlers: the places of these last numbers.
        guarded: whether a step with a NaN loss moves nothing.
        validated: whether a step with a sample outside its support also moves nothing, if the user validates.
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
    """The result of an eager pass of the program, and its side effects."""

    done: Pass
    sites: list[tuple[str, Tensor]]
    walk: Walk
    changes: Changes


def rehearse(call: Call, validate: bool = True) -> Rehearsal:
    """Run the program eagerly, with the user's validation if ``validate``, and undo all side effects."""
    origins = Origins(refuse=False)
    with untouched(call.roots, origins) as (walk, changes), SiteRecorder() as recorder, origins:
        if walk.iterators:
            raise CaptureError(
                f"no static graph: {walk.iterators[0]} is an iterator, and each pass takes its next items"
            )
        before = [(path, t, t.grad, t.grad is not None and t.grad._version) for path, t in walk.leaves()]
        with ran() as code:
            done = call.program(call.args, call.kwargs, validate=validate)
        named = {id(p) for p in done.parameters}
        for path, t, grad, version in before:
            if id(t) not in named and (t.grad is not grad or (grad is not None and grad._version != version)):
                changes.reasons.append(
                    f"{path} takes a gradient, but no pyro.param or pyro.module names it: register it, or set its"
                    " requires_grad to False"
                )
    walk.narrow(code)
    return Rehearsal(done, recorder.sums, walk, changes)


def require_settled(call: Call, rehearsal: Rehearsal) -> None:
    """Refuse plain values that the next pass reads: from the values that one pass leaves, it must do the same.

    Raises:
        CaptureError: if it assigns others or gives another loss.
    """
    places, _, values = zip(*rehearsal.changes.assigned, strict=True)
    with placed(places, values):
        again = rehearse(call)
    mine, its = rehearsal.done.record[0], again.done.record[0]
    if again.changes.assigned or not torch.allclose(mine, its, rtol=1e-5, equal_nan=True):
        slot, old, new = rehearsal.changes.assigned[0]
        raise CaptureError(
            f"no static graph: {slot.path} changes from {old!r} to {new!r} in each pass: pass it as an argument"
        )


@dataclass
class Traced:
    """A recorded step.

    Attributes:
        module: the graph; its inputs are ``constants``, then the numbers, then the tensors of the batch. Its outputs
            are those of the pass, then the sums over the sites.
        constants: the tensors that the program reads besides its batch (parameters, buffers, data it closes over, the
            optimizer's state). They are not copies, so the next run sees their changes.
        numbers: the numbers that are inputs.
        used: the places of the inputs that the graph reads, among the numbers and then the batch.
        layout: makes a :class:`Pass` from the outputs.
        sites: the names of the sample sites.
        guards: tensors whose values are part of the graph, with their versions.
        bound: the optimizer if its step is part of the graph, else None.
        buffers: the program's other tensors that the graph writes to.
        onednn: whether oneDNN is to compute the graph's products.
    """

    module: fx.GraphModule
    constants: list[Tensor]
    numbers: Numbers
    layout: "Layout"
    sites: list[str]
    guards: list[tuple[Tensor, int]]
    bound: Bound | None
    buffers: list[Tensor]
    onednn: bool
    used: list[int] = field(default_factory=list)


class Layout:
    """Converts a :class:`Pass` to a list of tensors and back."""

    def __init__(self, done: Pass, with_gradients: bool):
        shown = done if with_gradients else done._replace(gradients=(None,) * len(done.gradients))
        leaves, self.spec = pytree.tree_flatten(shown._replace(parameters=()))
        self.parameters = done.parameters
        self.gradients = [gradient is not None for gradient in done.gradients]
        self.held = [None if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        self.is_tensor = [isinstance(leaf, Tensor) for leaf in leaves]
        self.tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        alone = sum(self.is_tensor) == 1  # if the graph holds the optimizer's step and the ELBO keeps no terms
        self._alone = shown._replace(record=None) if alone else None  # type: ignore[arg-type]

    def take(self) -> list[Tensor]:
        """The tensors of the pass; the second call returns an empty list."""
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
    """Record a call, and undo all its side effects.

    Raises:
        CaptureError: if the program's operations depend on its data.
        NotBound: if ``bound`` has other parameters than those with a gradient in this pass.
    """
    batch = [t.detach() for t in call.arguments.tensors]  # separate tensors: one that is given twice is two inputs
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
        with origins, answered(origins) as asked, numbers.live(scalars), placed(call.handlers, around), recorder:
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

    # the roots give names to the objects, so that a message can name what the pass changes
    with untouched(call.roots, origins) as (_, changes), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the rehearsal has shown the program's warnings
        try:
            # Otherwise CUDA's backward pass runs in another thread, which make_fx does not trace.
            with torch.autograd.set_multithreading_enabled(False):
                module = make_fx(step)(*constants, *numbers.tensors, *batch)
        except (NotBound, KeyboardInterrupt):
            raise
        except Exception as error:
            raise refusal(error, recorder.last) from error
    if changes.refusal is not None:
        raise CaptureError(f"no static graph: {changes.refusal}")
    constants += lift(module, after=len(constants))
    sites = [name for name, _ in recorder.sums]
    guards = [(t, v) for t, v in origins.guards.values()]
    moved = set() if bound is None else {id(t) for t in (*bound.tensors(), *(e.parameter for e in bound.entries))}
    buffers = [t for t, _ in origins.written if id(t) not in moved]
    traced = Traced(module, constants, numbers, box[0], sites, guards, bound, buffers, prefers_onednn(module.graph))
    if any(t.device.type in RECORDED for t in constants):
        drop_checks(module)
        stay_on_device(without_last(module, len(sites)), origins)  # Pyro's plates have their indices on the host
    _drop_unused(traced)
    _refuse_carried(traced, changes)
    for node in module.graph.nodes:
        node.meta.clear()  # of this tracing; a compiler fills in its own
    return traced


def _checked(done: Pass, asked: Sequence[Tensor]) -> tuple[Pass, Tensor]:
    """The pass, with a NaN record if its loss is NaN or an element of ``asked`` is false; and whether it is sound."""
    with torch.no_grad():  # make_fx does not record operations on Pyro's provenance wrappers
        record = detach_provenance(done.record)
        sound = ~record[0].isnan()
        for inside in asked:
            sound = sound & detach_provenance(inside).to(sound.device)
        return done._replace(record=torch.where(sound, record, torch.nan)), sound


def _moving(call: Call, constants: Sequence[Tensor], bound: Bound | None) -> list[Tensor]:
    """The constants that a step moves: values that depend on them change from step to step."""
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
    """Refuse a tensor that each pass assigns and the next pass reads: a graph would always read the first one."""
    read = {id(t) for t in traced.constants}
    for slot, old in changes.moved:
        if id(old) in read:
            raise CaptureError(
                f"no static graph: {slot.path} is assigned in each pass and read by the next one; change the tensor in"
                " place, as with copy_()"
            )


def without_sites(traced: Traced) -> fx.GraphModule:
    """The graph without the sums over the sites; a step runs this one."""
    return without_last(traced.module, len(traced.sites))
