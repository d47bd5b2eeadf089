"""The arithmetic of one SVI step, which every engine runs: from a batch to the loss, its terms and the gradients."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any, NamedTuple

import pyro
import pyro.infer
import torch
from torch import Tensor, nn

from pyro_vae.engine.precision import Precision, products


class StepRecord(NamedTuple):
    """What a step says of itself: scalars that stay on the device, so that nothing waits for them.

    Every engine gives the same. ``log_likelihood`` and ``kl`` are means over images and particles, and NaN where the
    ELBO keeps no terms (Pyro's own do not).

    Attributes:
        loss: what was minimised: minus the bound, nats per image.
        log_likelihood: E_q[log p(x|z)], nats per image.
        kl: KL(q(z|x) || p(z)) without its weight, nats per image.
        grad_norm: the gradient's total norm before clipping.
    """

    loss: Tensor
    log_likelihood: Tensor
    kl: Tensor
    grad_norm: Tensor


Gradients = tuple[Tensor | None, ...]  #: one for each parameter; None where it has none


class Pass(NamedTuple):
    """What one pass computes: the :class:`StepRecord` as one vector, the ELBO's terms, the (clipped) gradients."""

    record: Tensor
    terms: Any
    gradients: Gradients


@cache
def _readers() -> list[tuple[Any, str]]:
    """Where Pyro's inference keeps the two functions that read numbers back."""
    modules = [module for key, module in sys.modules.items() if key.startswith("pyro.infer")]
    return [(m, name) for m in modules for name in ("torch_item", "warn_if_nan") if hasattr(m, name)]


@contextmanager
def resident(validate: bool = False) -> Iterator[None]:
    """Within it, Pyro keeps its numbers on the device.

    ``torch_item`` and ``warn_if_nan`` read a number back several times a step, the validation of distributions more
    often still, and each read waits for the device. Here the first only detaches, the second does nothing, and
    validation is off; whoever runs the loop looks for NaN once an epoch instead.

    Args:
        validate: leave validation as the user has it.
    """

    def detach(x: Any) -> Any:
        return x.detach() if isinstance(x, Tensor) else x

    def silent(value: Any, msg: str = "", **_: Any) -> Any:
        return value

    old = [(module, name, getattr(module, name)) for module, name in _readers()]
    for module, name, _ in old:
        setattr(module, name, detach if name == "torch_item" else silent)
    try:
        with nullcontext() if validate else pyro.validation_enabled(False):
            yield
    finally:
        for module, name, function in old:
            setattr(module, name, function)


class Program:
    """A model, a guide and an ELBO as one function from a batch to a :class:`Pass`, with no host in between.

    Args:
        model: a Pyro model, a module or a function.
        guide: its guide.
        elbo: a Pyro ELBO.
        parameters: the tensors whose gradients are wanted.
        clip_norm: gradients are scaled down to this total norm; None leaves them.
        per_image: whether the loss is divided by the length of the first argument.
        precision: of the networks' products; see :mod:`pyro_vae.engine.precision`.
    """

    def __init__(
        self,
        model: Callable,
        guide: Callable,
        elbo: pyro.infer.ELBO,
        parameters: Sequence[Tensor],
        clip_norm: float | None = None,
        per_image: bool = False,
        precision: Precision = "fp32",
    ):
        self.model, self.guide, self.elbo = model, guide, elbo
        self.parameters = list(parameters)
        self.clip_norm = clip_norm
        self.per_image = per_image
        self.precision: Precision = precision

    def __call__(self, *args: Any, validate: bool = False, **kwargs: Any) -> Pass:
        with resident(validate), torch.enable_grad(), products(self.precision):
            loss, gradients = self._differentiate(args, kwargs)
        with torch.no_grad():
            gradients = tuple(laid_out(g, p) for g, p in zip(gradients, self.parameters, strict=True))
            norm, gradients = clipped(gradients, self.clip_norm)
            terms = getattr(self.elbo, "terms", None)
            nan = torch.full_like(norm, torch.nan)
            means = [nan, nan] if terms is None else [terms.log_likelihood.mean(), terms.kl.mean()]
            record = torch.stack([loss, *means, norm])
        return Pass(record, terms, gradients)

    def _differentiate(self, args: tuple, kwargs: dict) -> tuple[Tensor, Gradients]:
        scale = 1 / len(args[0]) if self.per_image else 1
        if hasattr(self.elbo, "differentiable_loss"):
            loss = self.elbo.differentiable_loss(self.model, self.guide, *args, **kwargs) * scale
            return loss.detach(), torch.autograd.grad(loss, self.parameters, allow_unused=True)
        # An ELBO such as TraceGraph_ELBO differentiates by itself, a surrogate whose value is not the loss.
        for parameter in self.parameters:
            parameter.grad = None
        loss = torch.as_tensor(self.elbo.loss_and_grads(self.model, self.guide, *args, **kwargs))  # type: ignore[attr-defined]
        gradients = tuple(None if p.grad is None else p.grad * scale for p in self.parameters)
        return loss.detach() * scale, gradients


def clipped(gradients: Gradients, max_norm: float | None) -> tuple[Tensor, Gradients]:
    """The total norm of the gradients, and the gradients scaled down to ``max_norm`` where theirs is larger."""
    present = [g for g in gradients if g is not None]
    # elsewhere than on CUDA norm by norm, which a compiler fuses with what makes the gradients
    norm = nn.utils.get_total_norm(present, foreach=any(g.is_cuda for g in present))
    if max_norm is None:
        return norm, gradients
    scale = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    return norm, tuple(None if g is None else g * scale for g in gradients)


def laid_out(gradient: Tensor | None, parameter: Tensor) -> Tensor | None:
    """The gradient with its parameter's strides, for fused optimizers walk both as flat memory."""
    if gradient is None or gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)
