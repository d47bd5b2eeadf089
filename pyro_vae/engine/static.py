"""Pyro within a pass that is traced: what it asks of its own numbers is answered without reading them."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyro
import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.overrides import TorchFunctionMode

_PYRO = str(Path(pyro.__file__).parent)
_INFER, _SPLINE = f"{_PYRO}/infer/", f"{_PYRO}/distributions/transforms/spline.py"
_UTIL, _INFER_UTIL, _DISTRIBUTIONS_UTIL = f"{_PYRO}/util.py", f"{_PYRO}/infer/util.py", f"{_PYRO}/distributions/util.py"
_VALIDATION = str(Path(sys.modules[Distribution.__module__].__file__ or ""))


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
    if file == _VALIDATION:
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


@contextmanager
def answered() -> Iterator[None]:
    """Within it, Pyro asks no number of a tensor, no distribution validates its samples, and recurrent layers run as
    operations that can be traced."""

    def accept(self: Distribution, value: Any) -> None:
        return None

    old = Distribution._validate_sample
    Distribution._validate_sample = accept  # type: ignore[method-assign]
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.backends.mkldnn.flags(enabled=False))  # its LSTM keeps no workspace for a graph
            stack.enter_context(PyroAnswers())
            yield
    finally:
        Distribution._validate_sample = old  # type: ignore[method-assign]
