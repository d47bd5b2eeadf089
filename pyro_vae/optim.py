"""The optimizer of a run and the course of its learning rate."""

import math
from collections.abc import Iterable
from typing import Literal

import torch
from torch.optim import Optimizer

OptimizerName = Literal["Adam", "AdamW", "Adamax", "Adagrad", "RMSprop", "SGD"]
LrSchedule = Literal["constant", "linear", "cosine", "stages"]


def make_optimizer(
    name: OptimizerName, parameters: Iterable[torch.nn.Parameter], lr: float, weight_decay: float
) -> Optimizer:
    """One torch optimizer over all parameters; the engine that runs it switches torch's fused kernel on."""
    return getattr(torch.optim, name)(list(parameters), lr=lr, weight_decay=weight_decay)


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def lr_factor(schedule: LrSchedule, progress: float) -> float:
    """The learning rate, as a fraction of the peak, at ``progress`` between 0, the first step, and 1, the last.

    ``stages`` is Burda et al. 2015: stage i = 0..7 lasts 3^i parts of the run, at 10^(-i/7).

    >>> [round(lr_factor("stages", progress), 3) for progress in (0.0, 0.001, 0.5, 1.0)]
    [1.0, 0.72, 0.1, 0.1]
    """
    if schedule == "linear":
        return 1 - progress
    if schedule == "cosine":
        return (1 + math.cos(math.pi * progress)) / 2
    if schedule == "stages":
        stage = min(7, int(math.log(1 + progress * (3**8 - 1), 3)))
        return 10 ** (-stage / 7)
    return 1.0
