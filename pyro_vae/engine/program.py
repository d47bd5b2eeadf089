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
    """The result of a step: scalars that stay on the device, so that nothing waits for them.

    Every engine gives the same numbers. ``log_likelihood`` and ``kl`` are means over images and particles. They are NaN
    if the ELBO keeps no terms, as Pyro's own ELBOs.

    Attributes:
        loss: the minimised number; if the loss is a tuple (``ReweightedWakeSleep``), the sum of its parts.
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


Gradients = tuple[Tensor | None, ...]  #: one for each parameter; None if it has no gradient


class Pass(NamedTuple):
    """The result of one pass.

    Attributes:
        record: the scalars of the :class:`StepRecord` as one vector.
        terms: the ELBO's terms, or None.
        gradients: of the parameters, clipped if the program has a ``clip_norm``.
        parameters: the tensors of these gradients.
        losses: the parts of a loss that is a tuple; else None.
        subsamples: for each parameter the indices of its rows in this step, by dimension.
    """

    record: Tensor
    terms: Any
    gradients: Gradients
    parameters: tuple[Tensor, ...] = ()
    losses: Any = None
    subsamples: tuple[dict[int, Tensor], ...] = ()

    def loss(self) -> float:
        """The loss as a number; this waits for the device."""
        return self.record.tolist()[0]  # a tenth of the time of item()


@cache
def _readers() -> list[tuple[Any, str]]:
    """The modules of Pyro that hold the two functions that read numbers back, and the functions' names."""
    modules = [module for key, module in sys.modules.items() if key.startswith("pyro.infer")]
    return [(m, name) for m in modules for name in ("torch_item", "warn_if_nan") if hasattr(m, name)]


@contextmanager
def resident(validate: bool = False) -> Iterator[None]:
    """In this context, Pyro keeps its numbers on the device.

    ``torch_item`` and ``warn_if_nan`` read a number back several times a step, and the validation of distributions does
    so more often. Each read waits for the device. Here ``torch_item`` only detaches, ``warn_if_nan`` does nothing, and
    validation is off; the training loop looks for NaN once an epoch instead.

    Args:
        validate: leave the user's choice of validation unchanged.
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
        loss_and_grads: leaves the gradients on the parameters and returns the loss, as in Pyro's SVI.
        parameters: the tensors to differentiate by; None for those that ``pyro.param`` statements name.
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
        """The :class:`Pass` from a loss and its gradients, which are clipped here.

        ``images`` is the number of images that the loss is a mean over. If the model's plate subsamples, it has fewer
        rows, and each row counts as several images.
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
            trained = [p for p in parameters if p.requires_grad]  # an optimizer may hold frozen ones, which stay
            found = torch.autograd.grad(loss, trained, allow_unused=True) if trained else ()
            of = dict(zip(map(id, trained), found, strict=True))
            return loss.detach(), tuple(of.get(id(p)) for p in parameters)
        # An ELBO such as TraceGraph_ELBO itself differentiates a surrogate, whose value is not the loss.
        with no_gradients(parameters):
            loss = torch.as_tensor(self._differentiate(args, kwargs))
            gradients = tuple(None if p.grad is None else p.grad * scale for p in parameters)
        return loss.detach() * scale, gradients

    def _by_statements(self, args: tuple, kwargs: dict[str, Any]) -> tuple[Any, tuple[Tensor, ...], Gradients]:
        """As in Pyro's SVI: train the named parameters; one without a gradient keeps a zero gradient."""
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
    """The tensors that a backward pass may leave gradients on: those of the param store and of the modules."""
    found = list(pyro.get_param_store()._params.values())
    for program in programs:
        module = program if isinstance(program, nn.Module) else getattr(program, "__self__", None)
        if isinstance(module, nn.Module):
            found += module.parameters()
    return found


@contextmanager
def no_gradients(parameters: Iterable[Tensor]) -> Iterator[None]:
    """In this context, the parameters start without gradients; afterwards their old gradients return."""
    kept = [(p, p.grad) for p in parameters]
    for parameter, _ in kept:
        parameter.grad = None
    try:
        yield
    finally:
        for parameter, gradient in kept:
            parameter.grad = gradient


def clipped(gradients: Gradients, max_norm: float | None, like: Tensor | None = None) -> tuple[Tensor, Gradients]:
    """The total norm of the gradients, and the gradients scaled down if that norm is above ``max_norm``."""
    present = [g for g in gradients if g is not None]
    if not present:
        return torch.zeros_like(like) if like is not None else torch.zeros(()), gradients
    # without CUDA one norm at a time, because a compiler fuses each with the operations before it
    norm = nn.utils.get_total_norm(present, foreach=any(g.is_cuda for g in present))
    if max_norm is None:
        return norm, gradients
    scale = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    return norm, tuple(None if g is None else g * scale for g in gradients)


def laid_out(gradient: Tensor | None, parameter: Tensor) -> Tensor | None:
    """The gradient with its parameter's strides, because fused optimizers treat both as flat memory.

    Raises:
        CaptureError: if the gradient is sparse, because then it has no strides.
    """
    if gradient is not None and gradient.layout is not parameter.layout:
        raise CaptureError("no static graph: a gradient is sparse; use nn.Embedding(..., sparse=False)")
    if gradient is None or gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)
