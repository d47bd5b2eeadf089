"""What every engine shares: a step is a pass, its gradients handed to the parameters, and the optimizer's step."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from typing import Any

import pyro.optim
import torch
import torch.utils._pytree as pytree
from pyro import poutine
from torch import Tensor, nn
from torch.optim import Optimizer

from pyro_vae.engine.parallel import Average
from pyro_vae.engine.precision import settings
from pyro_vae.engine.program import Gradients, Pass, Program, StepRecord, resident
from pyro_vae.engine.update import fuse, take_step

#: an optimizer, or what makes one of parameters that are known only after the program has run once
AnyOptimizer = Optimizer | pyro.optim.PyroOptim | Callable[[list[Tensor]], Optimizer]


class Engine(ABC):
    """A way to run the steps of a program.

    Args:
        program: the step's arithmetic.
        optimizer: what moves the program's parameters. Its hyperparameters may change between steps (a scheduler of
            the learning rate), its state may be saved and loaded. Where it leaves ``fused`` unsaid and PyTorch has a
            fused kernel for it, that is switched on.
        average: from this process's pass to that of all; None where it is alone.
    """

    def __init__(self, program: Program, optimizer: AnyOptimizer, average: Average | None = None):
        self.program, self.average = program, average
        self._make: Callable[[list[Tensor]], Optimizer] | None = None
        if isinstance(optimizer, Optimizer):
            self.optimizer = optimizer
            self._begin()
        elif isinstance(optimizer, pyro.optim.PyroOptim):
            make, arguments = optimizer.pt_optim_constructor, optimizer.pt_optim_args
            if not isinstance(arguments, dict):
                raise ValueError("a Pyro optimizer here needs one dictionary of arguments for all parameters")
            self._make = lambda parameters: make(parameters, **arguments)  # type: ignore[operator]
        else:
            self._make = optimizer

    def _begin(self) -> None:
        """What needs the optimizer."""
        fuse(self.optimizer)
        self.device = self.program.parameters[0].device
        for group in self.optimizer.param_groups:  # a state that was saved where a CUDA graph ran may say so
            if group.get("capturable") and self.device.type != "cuda":
                group["capturable"] = False

    @abstractmethod
    def _pass(self, args: tuple, kwargs: dict[str, Any]) -> Pass:
        """The loss, its terms and its gradients on one batch."""

    def __call__(self, *args: Any, **kwargs: Any) -> StepRecord:
        """One step; the arguments are those of the model and the guide."""
        if self._make is not None:
            self.program.parameters = find_parameters(self.program, args, kwargs)
            self.optimizer, self._make = self._make(self.program.parameters), None
            self._begin()
        with settings(self.program.precision, self.device):
            done = self._step(args, kwargs)
        if done.terms is not None:
            self.program.elbo.terms = done.terms  # type: ignore[attr-defined]
        return StepRecord(*done.record.unbind())

    def _step(self, args: tuple, kwargs: dict[str, Any]) -> Pass:
        return self._move(self._pass(args, kwargs))

    def _move(self, done: Pass) -> Pass:
        """Let the optimizer take its step; returns the pass that moved it."""
        if self.average is not None:
            done = self.average(done)
        self._update(done.gradients)
        return done

    def _update(self, gradients: Gradients) -> None:
        take_step(self.optimizer, self.program.parameters, gradients)


class Eager(Engine):
    """Pyro's own pace: the program runs through Python at every step, the first time with the user's validation."""

    _seen = False

    def _pass(self, args: tuple, kwargs: dict[str, Any]) -> Pass:
        done = self.program(*args, validate=not self._seen, **kwargs)
        self._seen = True
        return done


def find_parameters(program: Program, args: tuple, kwargs: dict[str, Any]) -> list[Tensor]:
    """Run the program once, as Pyro's SVI does, and return what it has to learn.

    These are the unconstrained tensors behind its ``pyro.param`` statements, then those of its modules.
    """
    with torch.no_grad(), resident(validate=True), poutine.trace(param_only=True) as seen:
        program.elbo.loss(program.model, program.guide, *args, **kwargs)  # type: ignore[attr-defined]
    found = [site["value"].unconstrained() for site in seen.trace.nodes.values()]  # type: ignore[union-attr]
    modules = [m for m in (program.model, program.guide) if isinstance(m, nn.Module)]
    found += [p for m in modules for p in m.parameters() if p.requires_grad]
    return list({id(p): p for p in found}.values())


def signature(program: Program, args: tuple, kwargs: dict[str, Any]) -> tuple[Hashable, list[Tensor]]:
    """What two calls must share to share a graph, and the tensors among the arguments, in the graph's order.

    They must share shapes, strides, types and devices; numbers; and the training mode.
    """
    leaves, spec = pytree.tree_flatten((args, kwargs))
    kinds = [(t.shape, t.stride(), t.dtype, t.device) if isinstance(t, Tensor) else (type(t), t) for t in leaves]
    modes = [m.training for m in (program.model, program.guide) if isinstance(m, nn.Module)]
    return (spec, tuple(kinds), tuple(modes)), [leaf for leaf in leaves if isinstance(leaf, Tensor)]
