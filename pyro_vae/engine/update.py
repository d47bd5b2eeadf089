"""The optimizer's step as a graph of tensor operations, with the optimizer's Python gone from it."""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager

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

#: graphs kept at once; each holds the optimizer's state that it was written for
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


def take_step(optimizer: Optimizer, parameters: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> None:
    """The optimizer's own step, with these gradients; as in Pyro's SVI, they are not left on the parameters."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    optimizer.step()
    for parameter in parameters:
        parameter.grad = None


def hyperparameters(optimizer: Optimizer) -> Hashable:
    """What a recorded step holds as numbers: all but the learning rate."""
    return tuple(
        (name, tuple(value) if isinstance(value, list) else value)
        for group in optimizer.param_groups
        for name, value in group.items()
        # "capturable" is what a CUDA graph switches on between its first step and its second
        if name not in ("params", "lr", "initial_lr", "capturable") and not isinstance(value, Tensor)
    )


class Rates:
    """The learning rates of an optimizer as tensors, which a recorded step reads; the optimizer keeps its numbers.

    Args:
        optimizer: whose rates they are.
        dtype: of the tensors; fused kernels read float32 on a CUDA device and float64 on the host.
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
        """Within it, the optimizer's learning rates are the tensors."""
        old = [group["lr"] for group in self.optimizer.param_groups]
        for group, rate in zip(self.optimizer.param_groups, self.tensors, strict=True):
            group["lr"] = rate
        try:
            yield
        finally:
            for group, rate in zip(self.optimizer.param_groups, old, strict=True):
                group["lr"] = rate


class Update:
    """An optimizer's steps: the same numbers as its own ``step``, without the search for what to work on.

    torch's optimizers look their state up and sort it by device and type at every step, which takes longer than the
    fused kernel of a small network. Here one step is taken under ``make_fx``, and those after it repeat the operations
    that it wrote down, with the learning rate and the gradients as inputs. Another hyperparameter, another state (one
    that was loaded, say) or gradients of other parameters are another graph. An optimizer without a fused kernel, or
    with hooks on its step, steps by itself.

    Args:
        optimizer: it may be used by others between the steps.
        parameters: those that the gradients are of.
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
            self.optimizer._opt_called = True  # type: ignore[attr-defined]  # what a scheduler asks for
        elif key in self.recorded:
            new = _Recorded(self, gradients)
            if self._key(gradients) == key:  # else the step made new state, which a graph would make at every step
                self.recorded[key] = new
        else:
            if len(self.recorded) == MAX_UPDATES:
                self.recorded.clear()
            if key is not None:
                self.recorded[key] = None  # state is made at the first step
            take_step(self.optimizer, self.parameters, gradients)

    def touched(self) -> list[Tensor]:
        """What a step reads and writes besides the gradients: parameters, and their state."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        state = [value for p in parameters for value in self.optimizer.state.get(p, {}).values()]
        return parameters + [value for value in state if isinstance(value, Tensor)]

    def _static(self) -> bool:
        hooked = self.optimizer._optimizer_step_pre_hooks or self.optimizer._optimizer_step_post_hooks
        fused = all(group.get("fused") for group in self.optimizer.param_groups)
        return type(self.optimizer) in FUSED and fused and not hooked

    def _key(self, gradients: Sequence[Tensor | None]) -> Hashable:
        present = tuple(gradient is not None for gradient in gradients)
        return hyperparameters(self.optimizer), present, tuple(map(id, self.touched()))


class TorchOwner:
    """One torch optimizer over parameters that are known beforehand; several processes average the gradients.

    Args:
        optimizer: its hyperparameters may change between steps (a scheduler of the learning rate), its state may be
            saved and loaded. Where it leaves ``fused`` unsaid and PyTorch has a fused kernel, that is switched on.
        average: from this process's pass to that of all; None where it is alone.
    """

    first_by_itself = False
    guarded = False

    def __init__(self, optimizer: Optimizer, average: Average | None = None):
        self.optimizer, self.average = optimizer, average
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        fuse(optimizer)
        self.device = self.parameters[0].device
        for group in optimizer.param_groups:  # a state that was saved where a CUDA graph ran may say so
            if group.get("capturable") and self.device.type != "cuda":
                group["capturable"] = False
        self.update = Update(optimizer, self.parameters)

    def bind(self, done: Pass) -> None:
        """The step stays beside the graph, as a fused kernel of its own."""

    def step(self, done: Pass, captured: bool = True) -> Pass:
        """Move the parameters; ``captured`` repeats the operations of an earlier step."""
        if self.average is not None:
            done = self.average(done)
        if captured:
            self.update(done.gradients)
        else:
            take_step(self.optimizer, self.parameters, done.gradients)
        return done


class _Recorded:
    """A step that is taken when it is made, and again at each call."""

    def __init__(self, update: Update, gradients: Sequence[Tensor | None]):
        self.rates = Rates(update.optimizer, dtype=torch.float64)  # the host's, from where every fused kernel takes it
        self.constants = [*self.rates.tensors, *update.touched()]

        def step(*inputs: Tensor) -> None:
            given = iter(inputs[len(self.constants) :])
            with self.rates.live():
                take_step(update.optimizer, update.parameters, [None if g is None else next(given) for g in gradients])

        self.rates.read()
        module = make_fx(step)(*self._inputs(gradients))
        for node in reversed(module.graph.nodes):
            if getattr(node.target, "namespace", "") == "profiler":
                module.graph.erase_node(node)  # the step's name in a profile, which costs as much as a small kernel
        module.recompile()
        self.run = module.forward

    def _inputs(self, gradients: Sequence[Tensor | None]) -> list[Tensor]:
        return [*self.constants, *(g for g in gradients if g is not None)]

    def __call__(self, gradients: Sequence[Tensor | None]) -> None:
        self.rates.read()
        with torch.no_grad():
            self.run(*self._inputs(gradients))
