"""The arithmetic of one SVI step, which every engine runs: from a batch to the loss, its terms and the gradients."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import pyro
import pyro.infer
import torch
from pyro import poutine
from torch import Tensor, nn

from pyro_vae.engine.blame import CaptureError
from pyro_vae.engine.precision import Precision, products


class StepRecord(NamedTuple):
    """What a step says of itself: scalars that stay on the device, so that nothing waits for them.

    Every engine gives the same. ``log_likelihood`` and ``kl`` are means over images and particles, and NaN where the
    ELBO keeps no terms (Pyro's own do not).

    Attributes:
        loss: what was minimised; for losses that are a tuple (``ReweightedWakeSleep``), their sum.
        log_likelihood: E_q[log p(x|z)], nats per image.
        kl: KL(q(z|x) || p(z)) without its weight, nats per image.
        grad_norm: the gradient's total norm before clipping.
        terms: the ELBO's terms of this step, for objectives that have them.
    """

    loss: Tensor
    log_likelihood: Tensor
    kl: Tensor
    grad_norm: Tensor
    terms: Any = None


Gradients = tuple[Tensor | None, ...]  #: one for each parameter; None where it has none


class Pass(NamedTuple):
    """What one pass computes.

    Attributes:
        record: the scalars of the :class:`StepRecord` as one vector.
        terms: the ELBO's terms, or None.
        gradients: of the parameters, clipped where that was asked for.
        parameters: what was differentiated by.
        losses: the parts of a loss that is a tuple, or None.
        subsamples: for each parameter the indices of its rows in this step, by dimension.
    """

    record: Tensor
    terms: Any
    gradients: Gradients
    parameters: tuple[Tensor, ...] = ()
    losses: Any = None
    subsamples: tuple[dict[int, Tensor], ...] = ()

    def loss(self) -> float:
        """The loss as a number; on a device this waits for it."""
        return self.record.tolist()[0]  # a tenth of the time of item()


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
    validation is off; the training loop looks for NaN once an epoch instead.

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


@dataclass
class Program:
    """A model, a guide and a loss as one function from a step's arguments to a :class:`Pass`.

    Attributes:
        model: a Pyro model, a module or a function.
        guide: its guide.
        elbo: a Pyro ELBO, or a loss function.
        loss_and_grads: what leaves the gradients on the parameters and returns the loss, as Pyro's SVI has it.
        parameters: the tensors whose gradients are wanted; None for those that ``pyro.param`` statements name.
        clip_norm: gradients are scaled down to this total norm; None leaves them.
        per_image: whether the loss is divided by the length of the first argument.
        precision: of the networks' products; see :mod:`pyro_vae.engine.precision`.
    """

    model: Callable
    guide: Callable
    elbo: Any
    loss_and_grads: Callable | None = None
    parameters: Sequence[Tensor] | None = None
    clip_norm: float | None = None
    per_image: bool = False
    precision: Precision = "fp32"

    def __call__(self, args: tuple, kwargs: dict[str, Any], validate: bool = False) -> Pass:
        with resident(validate), torch.enable_grad(), products(self.precision):
            if self.parameters is None:
                loss, parameters, gradients = self._by_statements(args, kwargs)
            else:
                parameters = tuple(self.parameters)
                loss, gradients = self._by_parameters(parameters, args, kwargs)
        with torch.no_grad():
            return self.summed_up(loss, parameters, gradients, len(args[0]) if self.per_image else None)

    def summed_up(
        self, loss: Any, parameters: tuple[Tensor, ...], gradients: Gradients, images: int | None = None
    ) -> Pass:
        """What a pass is, from its loss and its gradients, which are clipped here.

        ``images`` is how many the loss is a mean over; a plate of the model's that subsamples has fewer rows, and each
        counts as several.
        """
        losses = tuple(torch.as_tensor(part).detach() for part in loss) if isinstance(loss, tuple) else None
        total = torch.as_tensor(loss if losses is None else sum(losses)).detach()
        gradients = tuple(laid_out(g, p) for g, p in zip(gradients, parameters, strict=True))
        norm, gradients = clipped(gradients, self.clip_norm, total)
        terms = getattr(self.elbo, "terms", None)
        nan = torch.full_like(norm, torch.nan)
        means = [nan, nan] if terms is None else [terms.log_likelihood.mean(), terms.kl.mean()]
        if terms is not None and images is not None and (rows := terms.log_likelihood.shape[-1]) != images:
            means = [mean * (rows / images) for mean in means]
        record = torch.stack([total.to(norm.device), *means, norm])
        subsamples = tuple(dict(getattr(p, "_pyro_subsample", {})) for p in parameters)
        return Pass(record, terms, gradients, parameters, losses, subsamples)

    def _by_parameters(
        self, parameters: tuple[Tensor, ...], args: tuple, kwargs: dict[str, Any]
    ) -> tuple[Any, Gradients]:
        scale = 1 / len(args[0]) if self.per_image else 1
        if hasattr(self.elbo, "differentiable_loss"):
            loss = self.elbo.differentiable_loss(self.model, self.guide, *args, **kwargs) * scale
            return loss.detach(), torch.autograd.grad(loss, parameters, allow_unused=True)
        # An ELBO such as TraceGraph_ELBO differentiates by itself, a surrogate whose value is not the loss.
        with no_gradients(parameters):
            loss = torch.as_tensor(self._differentiate(args, kwargs))
            gradients = tuple(None if p.grad is None else p.grad * scale for p in parameters)
        return loss.detach() * scale, gradients

    def _by_statements(self, args: tuple, kwargs: dict[str, Any]) -> tuple[Any, tuple[Tensor, ...], Gradients]:
        """As in Pyro's SVI: what the program named is trained, and what has no gradient in a step keeps a zero one."""
        kept = {p: p.grad for p in leaves(self.model, self.guide)}
        with no_gradients(kept):
            with poutine.trace(param_only=True) as seen:
                loss = self._differentiate(args, kwargs)
            named = [site["value"].unconstrained() for site in seen.trace.nodes.values()]  # type: ignore[union-attr]
            parameters = tuple({id(p): p for p in named}.values())
            found = [p.grad for p in parameters]
        zeros = [g is None and kept.get(p) is not None for g, p in zip(found, parameters, strict=True)]
        gradients = tuple(
            torch.zeros_like(p.detach()) if zero else g for g, p, zero in zip(found, parameters, zeros, strict=True)
        )
        return loss, parameters, gradients

    def _differentiate(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        differentiate = self.loss_and_grads or self.elbo.loss_and_grads
        return differentiate(self.model, self.guide, *args, **kwargs)


def leaves(*programs: Any) -> list[Tensor]:
    """The tensors that a backward pass may leave gradients on: those of the param store, and of modules."""
    found = list(pyro.get_param_store()._params.values())
    for program in programs:
        module = program if isinstance(program, nn.Module) else getattr(program, "__self__", None)
        if isinstance(module, nn.Module):
            found += module.parameters()
    return found


@contextmanager
def no_gradients(parameters: Iterable[Tensor]) -> Iterator[None]:
    """Within it, the parameters have no gradients yet; what they had is put back."""
    kept = [(p, p.grad) for p in parameters]
    for parameter, _ in kept:
        parameter.grad = None
    try:
        yield
    finally:
        for parameter, gradient in kept:
            parameter.grad = gradient


def clipped(gradients: Gradients, max_norm: float | None, like: Tensor | None = None) -> tuple[Tensor, Gradients]:
    """The total norm of the gradients, and the gradients scaled down to ``max_norm`` where theirs is larger."""
    present = [g for g in gradients if g is not None]
    if not present:
        return torch.zeros_like(like) if like is not None else torch.zeros(()), gradients
    # elsewhere than on CUDA norm by norm, which a compiler fuses with what makes the gradients
    norm = nn.utils.get_total_norm(present, foreach=any(g.is_cuda for g in present))
    if max_norm is None:
        return norm, gradients
    scale = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    return norm, tuple(None if g is None else g * scale for g in gradients)


def laid_out(gradient: Tensor | None, parameter: Tensor) -> Tensor | None:
    """The gradient with its parameter's strides, for fused optimizers walk both as flat memory.

    Raises:
        CaptureError: for a sparse one, which has none.
    """
    if gradient is not None and gradient.layout is not parameter.layout:
        raise CaptureError("no static graph: a gradient is sparse; use nn.Embedding(..., sparse=False)")
    if gradient is None or gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)
