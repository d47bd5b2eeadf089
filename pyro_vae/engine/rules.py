"""The steps of torch's and Pyro's optimizers for one parameter, as tensor operations that a graph can hold.

Each rule reads and writes the optimizer's own state, so the optimizer can take any later step itself, and saving and
loading its state works as before. Hyperparameters that a scheduler may move, and what follows from them and from the
count of steps, are tensors of float64. Python computes them once a step: a compiler would repeat a power of a decay
rate for each few elements of a parameter.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pyro.optim.clipped_adam
import torch
from torch import Tensor
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop


class Rule(NamedTuple):
    """The step of one kind of optimizer, for one parameter.

    Attributes:
        move: takes the parameter, its gradient, its state, the numbers below and the group; moves the parameter and the
            state in place.
        numbers: from the group and the state before a step to the numbers that change between steps, in the order of
            ``move``.
        state: the names of the state's tensors, which exist after the optimizer's own first step.
        counts: whether the numbers follow from the count of steps, so that each step has its own.
        tick: advances the Python numbers of the optimizer, before ``numbers`` reads them; None if it has none.
    """

    move: Callable[[Tensor, Tensor, dict[str, Tensor], list[Tensor], dict[str, Any]], None]
    numbers: Callable[[dict[str, Any], dict[str, Any]], list[float]]
    state: Callable[[dict[str, Any]], tuple[str, ...]]
    counts: bool = False
    tick: Callable[[dict[str, Any], dict[str, Any]], None] | None = None


def _decayed(parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
    """The gradient, negated if the optimizer maximises, plus the gradient of the L2 penalty."""
    gradient = -gradient if group.get("maximize") else gradient
    return gradient + group["weight_decay"] * parameter if group["weight_decay"] else gradient


def _adam(
    parameter: Tensor, gradient: Tensor, state: dict[str, Tensor], numbers: list[Tensor], group: dict[str, Any]
) -> None:
    size, root, lr, beta1, beta2 = numbers
    if group.get("decoupled_weight_decay"):
        gradient = -gradient if group.get("maximize") else gradient
        if group["weight_decay"]:
            parameter.mul_((1 - lr * group["weight_decay"]).to(parameter.dtype))
    else:
        gradient = _decayed(parameter, gradient, group)
    state["step"].add_(1)
    mean, square = state["exp_avg"], state["exp_avg_sq"]
    kind = parameter.dtype
    mean.add_((gradient - mean) * (1 - beta1).to(kind))
    square.mul_(beta2.to(kind)).add_(gradient * gradient * (1 - beta2).to(kind))
    if group["amsgrad"]:
        square = state["max_exp_avg_sq"].copy_(torch.maximum(state["max_exp_avg_sq"], square))
    parameter.sub_(size.to(kind) * mean / (square.sqrt() / root.to(kind) + group["eps"]))


def _adam_numbers(group: dict[str, Any], state: dict[str, Any]) -> list[float]:
    step, (beta1, beta2) = float(state["step"]) + 1, group["betas"]
    return [group["lr"] / (1 - beta1**step), math.sqrt(1 - beta2**step), group["lr"], beta1, beta2]


def _adam_state(group: dict[str, Any]) -> tuple[str, ...]:
    return ("step", "exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if group["amsgrad"] else []))


def _clipped_adam(
    parameter: Tensor, gradient: Tensor, state: dict[str, Tensor], numbers: list[Tensor], group: dict[str, Any]
) -> None:
    size, beta1, beta2 = numbers
    kind = parameter.dtype
    gradient = gradient.clamp(-group["clip_norm"], group["clip_norm"])
    if group["weight_decay"]:
        gradient = gradient + group["weight_decay"] * parameter
    mean, square = state["exp_avg"], state["exp_avg_sq"]
    mean.mul_(beta1.to(kind)).add_(gradient * (1 - beta1).to(kind))
    spread = gradient - mean if group.get("centered_variance") else gradient
    square.mul_(beta2.to(kind)).add_(spread * spread * (1 - beta2).to(kind))
    parameter.sub_(size.to(kind) * mean / (square.sqrt() + group["eps"]))


def _clipped_adam_numbers(group: dict[str, Any], state: dict[str, Any]) -> list[float]:
    step, (beta1, beta2) = state["step"], group["betas"]
    return [group["lr"] * math.sqrt(1 - beta2**step) / (1 - beta1**step), beta1, beta2]


def _clipped_adam_tick(group: dict[str, Any], state: dict[str, Any]) -> None:
    group["lr"] *= group["lrd"]
    state["step"] += 1


def _sgd(
    parameter: Tensor, gradient: Tensor, state: dict[str, Tensor], numbers: list[Tensor], group: dict[str, Any]
) -> None:
    lr, momentum = numbers
    kind = parameter.dtype
    gradient = _decayed(parameter, gradient, group)
    if group["momentum"]:
        buffer = state["momentum_buffer"]
        buffer.mul_(momentum.to(kind)).add_(gradient * (1 - group["dampening"]))
        gradient = gradient + momentum.to(kind) * buffer if group["nesterov"] else buffer
    parameter.sub_(lr.to(kind) * gradient)


def _sgd_state(group: dict[str, Any]) -> tuple[str, ...]:
    return ("momentum_buffer",) if group["momentum"] else ()


def _rmsprop(
    parameter: Tensor, gradient: Tensor, state: dict[str, Tensor], numbers: list[Tensor], group: dict[str, Any]
) -> None:
    lr, momentum = (number.to(parameter.dtype) for number in numbers)
    gradient = _decayed(parameter, gradient, group)
    state["step"].add_(1)
    square = state["square_avg"]
    square.mul_(group["alpha"]).add_(gradient * gradient * (1 - group["alpha"]))
    root = square
    if group["centered"]:
        mean = state["grad_avg"]
        mean.add_((gradient - mean) * (1 - group["alpha"]))
        root = square - mean * mean
    gradient = gradient / (root.sqrt() + group["eps"])
    if group["momentum"]:
        gradient = state["momentum_buffer"].mul_(momentum).add_(gradient)
    parameter.sub_(lr * gradient)


def _rmsprop_state(group: dict[str, Any]) -> tuple[str, ...]:
    more = ["grad_avg"] if group["centered"] else []
    return ("step", "square_avg", *more, *(["momentum_buffer"] if group["momentum"] else []))


def _adagrad(
    parameter: Tensor, gradient: Tensor, state: dict[str, Tensor], numbers: list[Tensor], group: dict[str, Any]
) -> None:
    gradient = _decayed(parameter, gradient, group)
    state["step"].add_(1)
    total = state["sum"].add_(gradient * gradient)
    parameter.sub_(numbers[0].to(parameter.dtype) * gradient / (total.sqrt() + group["eps"]))


def _adagrad_numbers(group: dict[str, Any], state: dict[str, Any]) -> list[float]:
    return [group["lr"] / (1 + float(state["step"]) * group["lr_decay"])]


def _lr_and_momentum(group: dict[str, Any], state: dict[str, Any]) -> list[float]:
    return [group["lr"], group["momentum"]]


RULES: dict[type[Optimizer], Rule] = {
    Adam: Rule(_adam, _adam_numbers, _adam_state, counts=True),
    AdamW: Rule(_adam, _adam_numbers, _adam_state, counts=True),
    SGD: Rule(_sgd, _lr_and_momentum, _sgd_state),
    RMSprop: Rule(_rmsprop, _lr_and_momentum, _rmsprop_state),
    Adagrad: Rule(_adagrad, _adagrad_numbers, lambda group: ("step", "sum"), counts=True),
    pyro.optim.clipped_adam.ClippedAdam: Rule(
        _clipped_adam, _clipped_adam_numbers, lambda group: ("exp_avg", "exp_avg_sq"), True, _clipped_adam_tick
    ),
}
