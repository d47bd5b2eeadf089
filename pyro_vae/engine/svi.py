"""Pyro's SVI over one torch optimizer."""

from typing import Any

import pyro.infer
import pyro.optim
import torch
from torch import Tensor, nn

from pyro_vae.engine.program import Program, StepRecord


class OneOptimizer(pyro.optim.PyroOptim):
    """A torch optimizer in the place where Pyro's SVI wants one of its own, which make an optimizer a parameter."""

    def __init__(self, optimizer: torch.optim.Optimizer):
        super().__init__(type(optimizer), {})
        self.optimizer = optimizer
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]

    def __call__(self, params: Any = None, *args: Any, **kwargs: Any) -> None:
        self.optimizer.step()


class SVI(pyro.infer.SVI):
    """Pyro's SVI over one torch optimizer.

    Pyro's own makes one optimizer for every parameter, which costs more than the arithmetic of a small network. Here
    the parameters are simply those of the two modules, and the loss stays on the device.

    Args:
        model: the Pyro model, a module.
        guide: the Pyro guide, a module.
        optim: an optimizer over the parameters of both.
        loss: a Pyro ELBO.
        clip_norm: gradients are scaled down to this total norm; None leaves them.
    """

    def __init__(
        self,
        model: nn.Module,
        guide: nn.Module,
        optim: torch.optim.Optimizer,
        loss: pyro.infer.ELBO,
        clip_norm: float | None = None,
    ):
        super().__init__(model, guide, OneOptimizer(optim), loss)
        self.program = Program(model, guide, loss, self.optim.parameters, clip_norm, per_image=True)

    def step(self, x: Tensor) -> StepRecord:
        """One step on the images ``(N, *image_shape)``; the record's scalars stay on the device."""
        done = self.program(x)
        for parameter, gradient in zip(self.program.parameters, done.gradients, strict=True):
            parameter.grad = gradient
        self.optim()
        return StepRecord(*done.record.unbind())
