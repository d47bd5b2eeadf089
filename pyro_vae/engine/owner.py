"""Pyro's optimizer as part of a graph. It keeps its own state, rates and schedules."""

from collections.abc import Sequence
from itertools import chain, islice
from operator import is_, itemgetter
from typing import Any, NamedTuple

import torch
from pyro.optim.lr_scheduler import PyroLRScheduler
from pyro.optim.optim import PyroOptim, is_scheduler
from torch import Tensor
from torch.optim import Optimizer

from pyro_vae.engine.program import Pass
from pyro_vae.engine.rules import RULES, Rule
from pyro_vae.engine.update import hooked

_VARYING = {"lr", "betas", "momentum"}  #: what schedulers move; any other change needs another graph


class NotBound(Exception):
    """The optimizer has no state for a parameter yet, so it must take an eager step first."""


class Entry(NamedTuple):
    """One parameter's own optimizer.

    Attributes:
        own: the optimizer, or the scheduler around it, as Pyro's optimizer holds it.
        group: the parameter's hyperparameters.
        table: the optimizer's states by parameter; ``state`` is this parameter's.
        rule: the optimizer's step.
        clip: the arguments of gradient clipping.
    """

    parameter: Tensor
    optimizer: Optimizer
    own: Any
    group: dict[str, Any]
    table: Any
    state: Any
    rule: Rule
    clip: dict[str, float]

    def tensors(self) -> list[Tensor]:
        return [self.state[name] for name in self.rule.state(self.group)]


class Bound:
    """The optimizers of some parameters, each Pyro's own, and their common step as tensor operations.

    Args:
        optim: Pyro's optimizer, which has already moved these parameters once.
        parameters: those that a step moves.

    Attributes:
        values: the numbers that change between steps (rates and Python's step counts), one vector of float64.

    Raises:
        NotBound: if the optimizer has no state for a parameter yet.
    """

    def __init__(self, optim: PyroOptim, parameters: Sequence[Tensor]):
        self.optim = optim
        self.entries = [_entry(optim, parameter) for parameter in parameters]
        self._held = [entry.tensors() for entry in self.entries]
        self._checks = []
        for entry in self.entries:
            names = [name for name in entry.group if name != "params"]
            get = itemgetter(*names)
            self._checks.append((entry, get, get(entry.group), names))
        self._before: list[tuple[dict, dict]] = []
        self._ticks = [(e.rule.tick, e.group, e.state) for e in self.entries if e.rule.tick is not None]
        self._counts = any(e.rule.counts for e in self.entries)
        numbers = self._numbers()
        self._sizes = [len(of_one) for of_one in numbers]
        self.values = torch.tensor(list(chain(*numbers)), dtype=torch.float64)

    def _numbers(self) -> list[list[float]]:
        return [e.rule.numbers(e.group, e.state) for e in self.entries]

    def tensors(self) -> list[Tensor]:
        """The tensors that a step reads or writes besides parameters and gradients."""
        return [self.values, *(t for e in self.entries for t in e.tensors())]

    def move(self, gradients: Sequence[Tensor], sound: Tensor | None = None) -> None:
        """The step, in place, as operations that can be traced. If ``sound`` is false, nothing moves."""
        held = [t for e in self.entries for t in (e.parameter, *e.tensors())]
        kept = [] if sound is None else [t.clone() for t in held]
        numbers = iter(self.values)
        for entry, gradient, size in zip(self.entries, gradients, self._sizes, strict=True):
            names = entry.rule.state(entry.group)
            state = dict(zip(names, entry.tensors(), strict=True))
            gradient = _clipped(gradient, entry.clip)
            entry.rule.move(entry.parameter, gradient, state, list(islice(numbers, size)), entry.group)
        if sound is not None:
            for tensor, old in zip(held, kept, strict=True):
                tensor.copy_(torch.where(sound, tensor, old))

    def ready(self) -> bool:
        """Whether the graph still fits the optimizer. If so, copy its rates to :attr:`values`; call it once a step."""
        moved = self._counts
        for i, (entry, get, expected, names) in enumerate(self._checks):
            if not self._same_optimizer(entry) or not all(map(is_, entry.tensors(), self._held[i])):
                return False
            found = get(entry.group)
            if found != expected:
                for name, new, old in zip(names, found, expected, strict=True):
                    if new != old and (name not in _VARYING or bool(new) != bool(old)):
                        return False
                moved = True
                self._checks[i] = entry, get, found, names
        self._before = [(dict(group), dict(state)) for _, group, state in self._ticks]
        for tick, group, state in self._ticks:
            tick(group, state)
        if moved:
            self.values.copy_(torch.tensor(list(chain(*self._numbers())), dtype=torch.float64))
        return True

    def _same_optimizer(self, entry: Entry) -> bool:
        return (
            self.optim.optim_objs.get(entry.parameter) is entry.own
            and entry.optimizer.state is entry.table
            and entry.table.get(entry.parameter) is entry.state
            and not hooked(entry.optimizer)
        )

    def untick(self) -> None:
        """Restore the optimizer's Python numbers that :meth:`ready` has moved."""
        for (_, group, state), (own, its) in zip(self._ticks, self._before, strict=True):
            group.update(own)
            state.update(its)


def _optimizer(optim: PyroOptim, parameter: Tensor) -> Optimizer:
    """A parameter's own optimizer, without the scheduler around it.

    Raises:
        NotBound: if there is none yet.
    """
    own = optim.optim_objs.get(parameter)
    if own is None:
        raise NotBound
    return own.optimizer if is_scheduler(own) else own


def _entry(optim: PyroOptim, parameter: Tensor) -> Entry:
    optimizer = _optimizer(optim, parameter)
    (group,) = optimizer.param_groups
    state = optimizer.state.get(parameter)  # None if the optimizer keeps no state
    rule = RULES[type(optimizer)]
    clip = optim._get_grad_clip_args(parameter)  # type: ignore[arg-type]
    entry = Entry(
        parameter, optimizer, optim.optim_objs[parameter], group, optimizer.state, state, rule, dict(clip or {})
    )
    if any(not isinstance((state or {}).get(name), Tensor) for name in rule.state(group)):
        raise NotBound
    return entry


def can_be_bound(optim: PyroOptim, parameters: Sequence[Tensor]) -> bool:
    """Whether a graph can hold the step: each optimizer has a rule, one group and no hooks, and runs on the CPU.

    Raises:
        NotBound: if a parameter has no optimizer yet.
    """
    for parameter in parameters:
        optimizer = _optimizer(optim, parameter)
        (group, *more) = optimizer.param_groups
        numbers = isinstance(group.get("lr"), (int, float))
        odd = more or hooked(optimizer) or not numbers or group.get("differentiable") or parameter.is_complex()
        odd = odd or parameter.device.type != "cpu"
        if type(optimizer) not in RULES or odd or type(optim).__call__ not in _OWN_CALLS:
            return False
    return True


_OWN_CALLS = {PyroOptim.__call__, PyroLRScheduler.__call__}


def _clipped(gradient: Tensor, clip: dict[str, float]) -> Tensor:
    """The gradient, clipped as by ``clip_grad_norm_`` and ``clip_grad_value_``."""
    if clip.get("clip_norm") is not None:
        gradient = gradient * (clip["clip_norm"] / (gradient.norm() + 1e-6)).clamp(max=1.0)
    if clip.get("clip_value") is not None:
        gradient = gradient.clamp(-clip["clip_value"], clip["clip_value"])
    return gradient


class PyroOwner:
    """Pyro's optimizer: part of the graph if each parameter's optimizer has a rule, else outside the graph.

    Args:
        optim: Pyro's optimizer. Other SVIs can use it too; it saves the same state as after eager steps.
    """

    first_by_itself = True
    guarded = True

    def __init__(self, optim: PyroOptim):
        self.optim = optim

    def bind(self, done: Pass) -> Bound | None:
        """The optimizers of the parameters with a gradient; None if the step stays Pyro's own.

        It does if an optimizer has no rule, if a parameter is subsampled, or if the optimizer of a parameter without a
        gradient counts its steps.

        Raises:
            NotBound: if an optimizer has not stepped yet.
        """
        if not can_be_bound(self.optim, done.parameters) or any(done.subsamples):
            return None
        idle = [p for p, g in zip(done.parameters, done.gradients, strict=True) if g is None]
        if any(RULES[type(_optimizer(self.optim, p))].tick for p in idle):
            return None
        moved = [p for p, g in zip(done.parameters, done.gradients, strict=True) if g is not None]
        return Bound(self.optim, moved)

    def step(self, done: Pass) -> Pass:
        """Let the optimizer take its own step on the gradients of a pass."""
        for parameter, gradient, subsample in zip(done.parameters, done.gradients, done.subsamples, strict=True):
            parameter.grad = gradient
            if subsample:
                parameter._pyro_subsample = subsample  # type: ignore[attr-defined]
        self.optim(set(done.parameters))  # type: ignore[arg-type]
        for parameter in done.parameters:
            if parameter.grad is not None:
                parameter.grad = torch.zeros_like(parameter.grad)
        return done
