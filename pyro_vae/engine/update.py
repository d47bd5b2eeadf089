"""A torch optimizer's step as a graph of tensor operations, without the optimizer's Python."""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyro.optim
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer

from pyro_vae.engine.parallel import Average
from pyro_vae.engine.program import Pass

#: torch's optimizers whose step is a fused kernel, and on which devices
FUSED: dict[type[Optimizer], tuple[str, ...]] = {
    Adam: ("cpu", "cuda"),
    AdamW: ("cpu", "cuda"),
    SGD: ("cpu", "cuda"),
    Adagrad: ("cpu",),
}

#: the number of graphs kept; each holds the optimizer's state of its capture
MAX_UPDATES = 8


def fuse(optimizer: Optimizer) -> None:
    """Enable the fused kernel unless the user chose.

    A state loaded from another device may request it where none exists; then disable it.
    """
    if (devices := FUSED.get(type(optimizer))) is None:
        return
    for group in optimizer.param_groups:
        if not all(p.device.type in devices and p.is_floating_point() for p in group["params"]):
            group["fused"] = False
        elif group.get("fused") is None and not group.get("foreach") and not group.get("differentiable"):
            group["fused"] = True


def hooked(optimizer: Optimizer) -> bool:
    """Whether a caller has put hooks on the optimizer's step."""
    return bool(optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks)


def take_step(optimizer: Optimizer, parameters: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> None:
    """The optimizer's own step with these gradients; afterwards the parameters have no gradients."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    optimizer.step()
    for parameter in parameters:
        parameter.grad = None


def hyperparameters(optimizer: Optimizer) -> Hashable:
    """The numbers that a recorded step holds as constants: all except the learning rate."""
    return tuple(
        (name, tuple(value) if isinstance(value, list) else value)
        for group in optimizer.param_groups
        for name, value in group.items()
        # a CUDA graph enables "capturable" between its first step and its second
        if name not in ("params", "lr", "initial_lr", "capturable") and not isinstance(value, Tensor)
    )


class Rates:
    """The learning rates of an optimizer as tensors that a recorded step reads; the optimizer keeps plain numbers.

    Args:
        optimizer: has the rates.
        dtype: of the tensors; fused kernels read float32 on a CUDA device and float64 on the CPU.
        device: of the tensors.

    Attributes:
        tensors: one for each group of parameters.
    """

    def __init__(self, optimizer: Optimizer, dtype: torch.dtype, device: torch.device | str = "cpu"):
        self.optimizer = optimizer
        self.tensors = [torch.zeros((), dtype=dtype, device=device) for _ in optimizer.param_groups]

    def read(self) -> None:
        """Copy the current rates from the optimizer."""
        for group, rate in zip(self.optimizer.param_groups, self.tensors, strict=True):
            rate.copy_(group["lr"]) if isinstance(group["lr"], Tensor) else rate.fill_(group["lr"])

    @contextmanager
    def live(self) -> Iterator[None]:
        """In this context, the optimizer's learning rates are the tensors."""
        old = [group["lr"] for group in self.optimizer.param_groups]
        for group, rate in zip(self.optimizer.param_groups, self.tensors, strict=True):
            group["lr"] = rate
        try:
            yield
        finally:
            for group, rate in zip(self.optimizer.param_groups, old, strict=True):
                group["lr"] = rate


class Update:
    """The steps of an optimizer, with the same numbers as its own ``step`` and less overhead.

    At every step, torch's optimizers look up their state and sort it by device and type. For a small network this takes
    longer than the fused kernel. Here ``make_fx`` records one step, and later steps repeat the recorded operations with
    the learning rate and the gradients as inputs. Another hyperparameter, another state (a loaded one, say) or
    gradients of other parameters need another graph. An optimizer without a fused kernel, or with hooks on its step,
    takes its own steps.

    Args:
        optimizer: other code may use it between the steps.
        parameters: one for each gradient.
    """

    def __init__(self, optimizer: Optimizer, parameters: Sequence[Tensor]):
        self.optimizer, self.parameters = optimizer, parameters
        self.recorded: dict[Hashable, _Recorded | None] = {}

    def __call__(self, gradients: Sequence[Tensor | None]) -> None:
        """One step with these gradients."""
        key = self._key(gradients) if self._static() else None
        recorded = self.recorded.get(key)
        if recorded is not None:
            recorded(gradients)
            self.optimizer._opt_called = True  # type: ignore[attr-defined]  # a scheduler reads it
        elif key in self.recorded:
            new = _Recorded(self, gradients)
            if self._key(gradients) == key:  # else the step has made new state, and a graph would make it at every step
                self.recorded[key] = new
        else:
            if len(self.recorded) == MAX_UPDATES:
                self.recorded.clear()
            if key is not None:
                self.recorded[key] = None  # the first step makes the state
            take_step(self.optimizer, self.parameters, gradients)

    def touched(self) -> list[Tensor]:
        """The tensors that a step reads and writes besides the gradients: the parameters and their state."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        state = [value for p in parameters for value in self.optimizer.state.get(p, {}).values()]
        return parameters + [value for value in state if isinstance(value, Tensor)]

    def _static(self) -> bool:
        fused = all(group.get("fused") for group in self.optimizer.param_groups)
        return type(self.optimizer) in FUSED and fused and not hooked(self.optimizer)

    def _key(self, gradients: Sequence[Tensor | None]) -> Hashable:
        present = tuple(gradient is not None for gradient in gradients)
        return hyperparameters(self.optimizer), present, tuple(map(id, self.touched()))


class OneOptimizer(pyro.optim.PyroOptim):
    """A torch optimizer in the form of Pyro's optimizers, for Pyro's SVI. Pyro's own make one for each parameter."""

    def __init__(self, optimizer: torch.optim.Optimizer):
        super().__init__(type(optimizer), {})
        self.optimizer = optimizer
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]

    def __call__(self, params: Any = None, *args: Any, **kwargs: Any) -> None:
        self.optimizer.step()


class TorchOwner:
    """One torch optimizer over known parameters; several processes can average their gradients.

    Args:
        optimizer: its hyperparameters may change between steps (by a scheduler, say), and its state may be saved and
            loaded. If it leaves ``fused`` open and PyTorch has a fused kernel, this class enables it.
        average: from this process's pass to the pass of all; None for a single process.
    """

    first_by_itself = False
    guarded = False

    def __init__(self, optimizer: Optimizer, average: Average | None = None):
        self.optimizer, self.average = optimizer, average
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        fuse(optimizer)
        self.device = self.parameters[0].device
        for group in optimizer.param_groups:  # a state from a run with a CUDA graph may have set it
            if group.get("capturable") and self.device.type != "cuda":
                group["capturable"] = False
        self.update = Update(optimizer, self.parameters)

    def grown(self) -> bool:
        """Whether the optimizer was given more parameters since (``add_param_group``)."""
        return sum(len(group["params"]) for group in self.optimizer.param_groups) != len(self.parameters)

    def bind(self, done: Pass) -> None:
        """None: the step stays outside the graph, as a fused kernel of its own."""

    def step(self, done: Pass, captured: bool = True) -> Pass:
        """Move the parameters; if ``captured``, repeat the operations of a recorded step."""
        if self.average is not None:
            done = self.average(done)
        if captured:
            self.update(done.gradients)
        else:
            take_step(self.optimizer, self.parameters, done.gradients)
        return done


class _Recorded:
    """A recorded step. Making it takes the step once, and each call takes it again."""

    def __init__(self, update: Update, gradients: Sequence[Tensor | None]):
        self.rates = Rates(update.optimizer, dtype=torch.float64)  # on the CPU, where every fused kernel can read it
        self.constants = [*self.rates.tensors, *update.touched()]

        def step(*inputs: Tensor) -> None:
            given = iter(inputs[len(self.constants) :])
            with self.rates.live():
                take_step(update.optimizer, update.parameters, [None if g is None else next(given) for g in gradients])

        self.rates.read()
        module = make_fx(step)(*self._inputs(gradients))
        for node in reversed(module.graph.nodes):
            if getattr(node.target, "namespace", "") == "profiler":
                module.graph.erase_node(node)  # the step's name in a profile costs as much time as a small kernel
        module.recompile()
        self.run = module.forward

    def _inputs(self, gradients: Sequence[Tensor | None]) -> list[Tensor]:
        return [*self.constants, *(g for g in gradients if g is not None)]

    def __call__(self, gradients: Sequence[Tensor | None]) -> None:
        self.rates.read()
        with torch.no_grad():
            self.run(*self._inputs(gradients))
