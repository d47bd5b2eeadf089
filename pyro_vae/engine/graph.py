"""A captured step, and its comparison with the eager step."""

from collections.abc import Callable, Sequence
from itertools import zip_longest
from operator import is_
from typing import Any

import pyro
import torch
from torch import Tensor

from pyro_vae.engine.arguments import Arguments
from pyro_vae.engine.blame import CaptureError
from pyro_vae.engine.capture import Call, Rehearsal, Traced, without_sites
from pyro_vae.engine.origins import Origins
from pyro_vae.engine.precision import onednn
from pyro_vae.engine.program import Pass
from pyro_vae.engine.surroundings import Slot, Walk
from pyro_vae.engine.untouched import untouched
from pyro_vae.engine.watch import Watch, alike
from pyro_vae.errors import InputError

SMALL = 1024  #: elements

UNREAD = (
    "The program depends on a value that the graph does not read: give it as an argument of the step, or change its"
    " tensor in place, or use engine='eager'"
)
OLD_WEIGHTS = (
    "Where one torch.autocast is around several steps, it casts the weights once, and all steps have these old ones:"
    " enter it in each step, or give it cache_enabled=False"
)


class AuditError(InputError, RuntimeError):
    """The graph no longer computes the program's numbers. The message names the first sample site that differs."""


class Graph:
    """One captured step, for one kind of call.

    Args:
        traced: the recorded step.
        walk: everything that the program depended on at capture.
        moved: the places that a pass itself rebinds; they are not watched.

    Attributes:
        run: runs the step: the graph itself, operation by operation, or its compiled code.
        module: the graph without the sums over sites.
        watch: the places that the graph depends on.
    """

    def __init__(self, traced: Traced, walk: Walk, moved: Sequence[Slot]):
        self.traced, self.numbers, self.bound = traced, traced.numbers, traced.bound
        self.module = without_sites(traced)
        self.run: Callable[..., Sequence[Tensor]] = self.module
        self.constants = list(traced.constants)
        self._scalars = [self.numbers.tensors[i] for i in traced.used if i < len(self.numbers.tensors)]
        self._batch = [i - len(self.numbers.tensors) for i in traced.used if i >= len(self.numbers.tensors)]
        places = {id(t): i for i, t in enumerate(self.constants)}
        skip = {(id(s.owner), s.key) for s in (*moved, *self.numbers.slots)}
        skip |= {(id(vars(m)), "training") for m in walk.modules}  # the watch compares the modes of modules itself
        slots = [
            (slot, value)
            for slot, value in walk.slots
            if (id(slot.owner), slot.key) not in skip and slot.key != "max_plate_nesting"
        ]
        read = {*places, *(id(t) for t, _ in traced.guards)}
        loose = {id(slot) for slot, value in slots if isinstance(value, Tensor) and id(value) not in read}
        self.watch = Watch(slots, walk, loose)
        self._leaves = [
            t for t in self.constants if t.is_leaf and (t.requires_grad or isinstance(t, torch.nn.Parameter))
        ]
        self._states = self._of_leaves()
        # Writing to a tensor's data changes no version, so the values of small ones are compared.
        self._guards = [(t, version, _value(t)) for t, version in traced.guards]
        names = pyro.get_param_store()._param_to_name
        stored = [(names[p], p) for p in traced.layout.parameters if p in names]
        self._stored = [name for name, _ in stored], [p for _, p in stored]
        # A parameter without a gradient in a step has None before its first gradient, and zeros after it, as in Pyro.
        gradients = traced.layout.gradients
        self._idle = [p for p, g in zip(traced.layout.parameters, gradients, strict=True) if not g]

    def holds(self) -> bool:
        """Whether the graph still fits its surroundings; it accepts a new tensor of the same kind as the old one."""
        if self._of_leaves() != self._states:
            return False
        for tensor, version, value in self._guards:
            if tensor._version != version or (value is not None and not torch.equal(tensor, value)):
                return False
        names, tensors = self._stored
        if not all(map(is_, map(pyro.get_param_store()._params.get, names), tensors)):
            return False
        if any(p.grad is not None for p in self._idle):
            return False
        return self.watch.holds() or self._rebound()

    def _of_leaves(self) -> list[tuple[Any, ...]]:
        """Whether each leaf is trained, its type and layout in memory, and the hooks on its gradient."""
        return [
            (
                t.requires_grad,
                t.dtype,
                t.shape,
                t.stride() if t.layout is torch.strided else None,
                t._backward_hooks and tuple(t._backward_hooks),
                t._post_accumulate_grad_hooks,
            )
            for t in self._leaves
        ]

    def _rebound(self) -> bool:
        """Use the tensors that have replaced constants; False if anything else changed."""
        changes = self.watch.changed()
        if not changes or not self.watch.modes_hold() or not self.watch.sizes_hold():
            return False
        guarded = {id(t) for t, _, _ in self._guards}
        places = {id(t): i for i, t in enumerate(self.constants)}
        new_of: dict[int, Tensor] = {}
        for _, old, new in changes:
            if not isinstance(old, Tensor) or not isinstance(new, Tensor) or not alike(old, new):
                return False
            if id(old) in guarded or old.requires_grad or new_of.setdefault(id(old), new) is not new:
                return False
        still = {id(value) for slot, value in self.watch.slots if slot.read() is value}
        if any(old in still or old not in places for old in new_of):
            return False
        for old, new in new_of.items():
            self.constants[places[old]] = new
        self.traced.constants[:] = self.constants
        self.watch.renew()
        return True

    def inputs(self, arguments: Arguments) -> list[Tensor]:
        """The inputs of :attr:`run`: constants, numbers and the batch."""
        self.numbers.read(arguments.numbers)
        return [*self.constants, *self._scalars, *[arguments.tensors[i] for i in self._batch]]

    def outputs(self, arguments: Arguments) -> Sequence[Tensor]:
        """One step, as the outputs of :attr:`run`; without the optimizer's step if the graph does not hold it."""
        with torch.no_grad(), onednn(self.traced.onednn):
            return self.run(*self.inputs(arguments))

    def __call__(self, arguments: Arguments) -> Pass:
        """One step, as a :class:`Pass`."""
        return self.traced.layout.together(self.outputs(arguments))

    def check(self, call: Call, rehearsal: Rehearsal) -> None:
        """Compare an uncompiled pass of the graph with the program's pass, and undo its side effects.

        Raises:
            AuditError: if they differ.
            CaptureError: if the graph does not run.
        """
        origins, inputs = Origins(refuse=False), self.inputs(call.arguments)
        try:
            with untouched(call.roots, origins), origins, torch.no_grad():
                outputs = self.traced.module(*inputs)
        except RuntimeError as error:  # some operations run only within autograd's own pass
            raise CaptureError(f"no static graph: the graph does not run: {str(error).splitlines()[0]}") from error
        count = len(self.traced.sites)
        sums = outputs[len(outputs) - count :]
        record = self.traced.layout.together(outputs[: len(outputs) - count]).record
        compare(record, rehearsal, list(zip(self.traced.sites, sums, strict=True)))


def compare(record: Tensor, rehearsal: Rehearsal, sites: Sequence[tuple[str, Tensor]]) -> None:
    """Compare a graph's record with the program's.

    Raises:
        AuditError: if the losses differ by more than 1e-4, or the gradient norms by more than 2e-3 (relative).
    """
    expected = rehearsal.done.record
    if same(record[0], expected[0], 1e-4) and same(record[-1], expected[-1], 2e-3):
        return
    loss = f"losses {record[0].item():.8g} and {expected[0].item():.8g}"
    norm = f"gradient norms {record[-1].item():.6g} and {expected[-1].item():.6g}"
    names = [name for name, _ in sites], [name for name, _ in rehearsal.sites]
    where = "no sample site differs: the ELBO, a factor or a handler does"
    if names[0] != names[1]:
        odd = next((b or a for a, b in zip_longest(*names) if a != b), "?")
        where = f"another sample site {odd!r} is drawn"
    else:
        for (name, mine), (_, its) in zip(sites, rehearsal.sites, strict=True):
            if not same(mine, its, 1e-5):
                where = f"the first sample site that differs is {name!r}"
                break
    remedy = UNREAD
    if torch.is_autocast_cache_enabled() and any(map(torch.is_autocast_enabled, ("cpu", "cuda"))):
        remedy = OLD_WEIGHTS
    raise AuditError(f"the graph and the program differ: {where} ({loss}; {norm}). {remedy}")


def same(a: Tensor, b: Tensor, rtol: float) -> bool:
    """Whether two numbers are equal up to rounding; two NaNs are equal."""
    a, b = a.double().cpu(), b.double().cpu()
    return bool(torch.allclose(a, b, rtol=rtol, atol=rtol * 1e-2, equal_nan=True))


def _value(tensor: Tensor) -> Tensor | None:
    """A copy of a small tensor on the CPU, to compare it; None of others, and of one that has a NaN."""
    small = tensor.device.type == "cpu" and tensor.numel() <= SMALL and not tensor.isnan().any()
    return tensor.detach().clone() if small else None
