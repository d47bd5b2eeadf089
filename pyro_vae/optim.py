"""The optimizer of a run."""

from collections.abc import Iterable
from typing import Literal

import torch
from torch.optim import Optimizer

OptimizerName = Literal["Adam", "AdamW", "Adamax", "Adagrad", "RMSprop", "SGD"]


def make_optimizer(
    name: OptimizerName, parameters: Iterable[torch.nn.Parameter], lr: float, weight_decay: float
) -> Optimizer:
    """One torch optimizer over all parameters; the engine that runs it switches torch's fused kernel on."""
    return getattr(torch.optim, name)(list(parameters), lr=lr, weight_decay=weight_decay)


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = lr
