"""Pyro's handlers around a step, as part of its arguments."""

from collections.abc import Hashable
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from pyro.poutine import Trace
from pyro.poutine.runtime import _PYRO_STACK
from torch import Tensor

from pyro_vae.engine.arguments import Arguments, Same
from pyro_vae.engine.surroundings import Slot, walk


def with_handlers(arguments: Arguments) -> tuple[Arguments, list[Slot]]:
    """The arguments, followed by the numbers of Pyro's handlers around the step; and the places of these numbers."""
    found = walk({f"handler {i}": handler for i, handler in enumerate(_PYRO_STACK)})
    numbers = [(s, v) for s, v in found.slots if is_number(v)]
    others = [(s.path, _key(v)) for s, v in found.slots if not is_number(v)]
    kinds = tuple(type(handler) for handler in _PYRO_STACK)
    kind = arguments.kind, kinds, tuple(s.path for s, _ in numbers), tuple(others)
    return arguments._replace(kind=kind, numbers=[*arguments.numbers, *(v for _, v in numbers)]), [
        s for s, _ in numbers
    ]


def is_number(value: Any) -> bool:
    """Whether a value may become an input of a graph."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _key(value: Any) -> Hashable:
    """What two handlers must share: plain values, the code of functions, other objects that the walk does not enter."""
    if isinstance(value, (bool, str, type(None))):
        return value
    if isinstance(value, (FunctionType, MethodType)):
        return value.__code__
    if isinstance(value, (Tensor, Trace, BuiltinFunctionType)):
        return Same(value)
    return type(value).__qualname__
