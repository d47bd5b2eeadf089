"""Answers to the questions that Pyro asks of tensors while a pass is traced, without reading their values."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyro
import torch
import torch.utils._pytree as pytree
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from pyro_vae.engine.blame import NotStatic
from pyro_vae.engine.origins import Origins

_PYRO = str(Path(pyro.__file__).parent)
_INFER, _SPLINE = f"{_PYRO}/infer/", f"{_PYRO}/distributions/transforms/spline.py"
_UTIL, _INFER_UTIL, _DISTRIBUTIONS_UTIL = f"{_PYRO}/util.py", f"{_PYRO}/infer/util.py", f"{_PYRO}/distributions/util.py"
_DISTRIBUTIONS = Path(sys.modules[Distribution.__module__].__file__ or "").parent
_VALIDATION = {str(_DISTRIBUTIONS / f"{name}.py") for name in ("distribution", "constraints", "uniform")}


class PyroAnswers(TorchFunctionMode):
    """In this context, the lines of Pyro that read a number get an answer that holds at every step.

    - an ELBO that reports its loss with ``.item()`` reports the tensor;
    - ``warn_if_nan`` sees no NaN, and the constructors of distributions see valid arguments;
    - ``Dice.compute_expectation`` puts zeros at the entries that its mask excludes, instead of dropping them;
    - a spline keeps the values outside its interval with ``torch.where``.

    :class:`~pyro_vae.engine.origins.Origins` refuses the same questions from other code. What reads values without its
    notice (``tolist``, NumPy, ``torch.tensor`` of a list with tensors) is refused here.

    Args:
        origins: of the tensors.
        asked: takes a scalar tensor that is true where the labels of ``one_hot`` are such.
    """

    def __init__(self, origins: Origins, asked: list[Tensor]):
        super().__init__()
        self.origins, self.asked = origins, asked

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _READERS:
            for tensor in _READERS[func](args, kwargs or {}):
                self.origins.refuse_reading(tensor, func.__name__)
        if func is F.one_hot:
            return self._one_hot(*args, **(kwargs or {}))
        answer = _ANSWERS.get(func)
        if answer is not None and (found := answer(sys._getframe(1).f_code.co_filename, args)) is not None:
            return found
        return func(*args, **(kwargs or {}))

    def _one_hot(self, labels: Tensor, num_classes: int = -1) -> Tensor:
        if num_classes <= 0:
            return F.one_hot(labels, num_classes)  # it reads the largest label
        if labels.numel():
            self.asked += [labels.amin() >= 0, labels.amax() < num_classes]
        return (labels[..., None] == torch.arange(num_classes, device=labels.device)).long()


def _listed(data: Any) -> list[Tensor]:
    """The tensors in a list of numbers."""
    return [] if isinstance(data, Tensor) else [t for t in pytree.tree_leaves(data) if isinstance(t, Tensor)]


#: what reads the values of tensors out of the dispatcher's sight: from the arguments to these tensors
_READERS: dict[Any, Callable[[Any, Any], list[Tensor]]] = {
    **dict.fromkeys((Tensor.tolist, Tensor.numpy, Tensor.__array__, Tensor.__dlpack__), lambda args, _: [args[0]]),
    **dict.fromkeys((torch.tensor, torch.as_tensor), lambda args, named: _listed(args[0] if args else named["data"])),
    Tensor.new_tensor: lambda args, named: _listed(args[1] if args[1:] else named["data"]),
    **dict.fromkeys(
        (torch.tensor_split, Tensor.tensor_split),
        lambda args, named: [t for t in (*args[1:2], *named.values()) if isinstance(t, Tensor)],
    ),
}


def _item(file: str, args: Any) -> Any:
    if file.startswith(_INFER):
        return args[0].detach()
    if file == _DISTRIBUTIONS_UTIL:  # is_identically_zero and _one: NaN means no, as Pyro answers while tracing
        return float("nan")
    return None


def _bool(file: str, args: Any) -> bool | None:
    if file in _VALIDATION:
        return True
    return False if file in (_UTIL, _INFER_UTIL) else None


def _masked_select(file: str, args: Any) -> Tensor | None:
    # One mask selects both factors of an expectation, which are then multiplied, so zeros add nothing.
    return torch.where(args[1], args[0], torch.zeros_like(args[0])) if file == _INFER_UTIL else None


def _getitem(file: str, args: Any) -> Tensor | None:
    mask = args[1]
    selects = file == _SPLINE and isinstance(mask, Tensor) and mask.dtype == torch.bool and mask.shape == args[0].shape
    return args[0] if selects else None  # _setitem makes the selection


def _setitem(file: str, args: Any) -> Any:
    whole, mask, value = args
    if file != _SPLINE or not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        return None
    return whole.copy_(torch.where(mask, value, whole))


_ANSWERS: dict[Any, Callable[[str, Any], Any]] = {
    torch.Tensor.item: _item,
    torch.Tensor.__bool__: _bool,
    torch.Tensor.masked_select: _masked_select,
    torch.Tensor.__getitem__: _getitem,
    torch.Tensor.__setitem__: _setitem,
}


def _is_real(support: Any) -> bool:
    """Whether a support contains every number except NaN, which shows in the loss."""
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    return support is constraints.real


def supported(distribution: Distribution, value: Any) -> Tensor | None:
    """Whether all of a value lies in a distribution's support, a scalar on the device; None if there is no check."""
    try:
        support = distribution.support
    except (NotImplementedError, AttributeError):
        return None
    if support is None or _is_real(support) or not isinstance(value, Tensor):
        return None
    inside = support.check(value)
    # a minimum of floats instead of all(), because Inductor vectorises its loop
    return inside.to(torch.float32).amin() > 0 if inside.numel() else None


def _seeded(*_: Any, **__: Any) -> None:
    raise NotStatic("the pass sets the random state: seed outside of model and guide; no activation checkpoints")


@contextmanager
def answered(origins: Origins) -> Iterator[list[Tensor]]:
    """In this context, Pyro reads no number from a tensor, and recurrent layers run as traceable operations.

    Args:
        origins: of the tensors of the pass, whose mode is on.

    Yields:
        a list, filled during the pass: for each sample that a distribution would validate, a scalar that is true if
        the sample lies in the support.
    """
    asked: list[Tensor] = []

    def note(self: Distribution, value: Any) -> None:
        inside = supported(self, value)
        if inside is not None:
            asked.append(inside)

    old, seeds = Distribution._validate_sample, (torch.set_rng_state, torch.manual_seed)
    Distribution._validate_sample = note  # type: ignore[method-assign]
    torch.set_rng_state = torch.manual_seed = _seeded  # type: ignore[assignment]
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.backends.mkldnn.flags(enabled=False))  # its LSTM keeps no workspace for a graph
            stack.enter_context(PyroAnswers(origins, asked))
            yield asked
    finally:
        Distribution._validate_sample = old  # type: ignore[method-assign]
        torch.set_rng_state, torch.manual_seed = seeds
