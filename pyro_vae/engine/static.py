"""Pyro within a pass that is traced: what it asks of its own numbers is answered without reading them."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyro
import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.overrides import TorchFunctionMode

_PYRO = str(Path(pyro.__file__).parent)
_INFER, _SPLINE = f"{_PYRO}/infer/", f"{_PYRO}/distributions/transforms/spline.py"
_UTIL, _INFER_UTIL, _DISTRIBUTIONS_UTIL = f"{_PYRO}/util.py", f"{_PYRO}/infer/util.py", f"{_PYRO}/distributions/util.py"
_DISTRIBUTIONS = Path(sys.modules[Distribution.__module__].__file__ or "").parent
_VALIDATION = {str(_DISTRIBUTIONS / f"{name}.py") for name in ("distribution", "constraints", "uniform")}


class PyroAnswers(TorchFunctionMode):
    """Within it, the lines of Pyro that would wait for a number get an answer that holds at every step.

    - an ELBO that reports its loss with ``.item()`` reports the tensor;
    - ``warn_if_nan`` sees no NaN, the constructors of distributions see valid arguments;
    - ``Dice.compute_expectation`` selects by a mask where it would drop what the mask leaves out;
    - a spline keeps values outside of its interval by selection, too.

    Whatever other code asks is refused by :class:`~pyro_vae.engine.origins.Origins`.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        answer = _ANSWERS.get(func)
        if answer is not None and (found := answer(sys._getframe(1).f_code.co_filename, args)) is not None:
            return found
        return func(*args, **(kwargs or {}))


def _item(file: str, args: Any) -> Any:
    if file.startswith(_INFER):
        return args[0].detach()
    if file == _DISTRIBUTIONS_UTIL:  # is_identically_zero and _one, of a tensor: Pyro's own answer while tracing is no
        return float("nan")
    return None


def _bool(file: str, args: Any) -> bool | None:
    if file in _VALIDATION:
        return True
    return False if file in (_UTIL, _INFER_UTIL) else None


def _masked_select(file: str, args: Any) -> Tensor | None:
    # Both factors of an expectation are selected by one mask and multiplied, so that zeros add nothing.
    return torch.where(args[1], args[0], torch.zeros_like(args[0])) if file == _INFER_UTIL else None


def _getitem(file: str, args: Any) -> Tensor | None:
    mask = args[1]
    selects = file == _SPLINE and isinstance(mask, Tensor) and mask.dtype == torch.bool and mask.shape == args[0].shape
    return args[0] if selects else None  # read together with the selection below


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
    """Whether any number but NaN lies in a support; NaN shows in the loss."""
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    return support is constraints.real


def supported(distribution: Distribution, value: Any) -> Tensor | None:
    """Whether a value lies in a distribution's support, as a scalar on the device; None where all values do."""
    try:
        support = distribution.support
    except (NotImplementedError, AttributeError):
        return None
    if support is None or _is_real(support) or not isinstance(value, Tensor):
        return None
    inside = support.check(value)
    # not all(): Inductor's loop over a minimum of floats uses vectors
    return inside.to(torch.float32).amin() > 0 if inside.numel() else None


@contextmanager
def answered() -> Iterator[list[Tensor]]:
    """Within it, Pyro asks no number of a tensor, and recurrent layers run as operations that can be traced.

    Yields:
        what the distributions that validate their samples would have asked, to be asked later: whether each sample lies
        in the support.
    """
    asked: list[Tensor] = []

    def note(self: Distribution, value: Any) -> None:
        inside = supported(self, value)
        if inside is not None:
            asked.append(inside)

    old = Distribution._validate_sample
    Distribution._validate_sample = note  # type: ignore[method-assign]
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.backends.mkldnn.flags(enabled=False))  # its LSTM keeps no workspace for a graph
            stack.enter_context(PyroAnswers())
            yield asked
    finally:
        Distribution._validate_sample = old  # type: ignore[method-assign]
