"""How a step of SVI runs."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import pyro
import pyro.infer
import pyro.optim
import torch
from torch import Tensor, nn


@contextmanager
def resident() -> Iterator[None]:
    """Within it, Pyro's ELBOs keep their numbers on the device.

    ``torch_item`` and ``warn_if_nan`` read a number back several times a step, and each read waits for the device. Here
    the first only detaches and the second does nothing; whoever runs the loop looks for NaN once an epoch instead.
    """

    def detach(x: Any) -> Any:
        return x.detach() if isinstance(x, Tensor) else x

    with ExitStack() as stack:
        stack.enter_context(pyro.validation_enabled(False))
        for module in ("trace_elbo", "trace_mean_field_elbo"):
            stack.enter_context(patch(f"pyro.infer.{module}.torch_item", detach))
            stack.enter_context(patch(f"pyro.infer.{module}.warn_if_nan", lambda value, msg="": value))
        yield


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
        self.elbo = loss(model, guide)
        self.clip_norm = clip_norm
        self.grad_norm: Tensor = torch.tensor(0.0)  #: total norm of the last step's gradient, before clipping

    def step(self, x: Tensor) -> Tensor:
        """One step on the images ``(N, *image_shape)``; returns the loss, minus the bound in nats per image."""
        self.optim.optimizer.zero_grad()
        loss = self.elbo(x) / len(x)
        loss.backward()
        gradients = [p.grad for p in self.optim.parameters if p.grad is not None]
        self.grad_norm = torch.nn.utils.get_total_norm(gradients)
        if self.clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(self.optim.parameters, self.clip_norm, self.grad_norm)
        self.optim()
        return loss.detach()
