"""The arguments of a step: some are inputs of a graph, the others decide which graph runs."""

import copy
import functools
import sys
from argparse import Namespace
from collections.abc import Callable, Hashable, Iterator
from dataclasses import is_dataclass
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from pyro_vae.engine.blame import CaptureError

_PLAIN = (str, bytes, bool, type(None), complex)


class Same:
    """An object as a key, equal only to itself. The key holds the object, so that no other object gets its id."""

    __slots__ = ("held",)

    def __init__(self, held: Any):
        self.held = held

    def __hash__(self) -> int:
        return id(self.held)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.held is other.held


class Arguments(NamedTuple):
    """The arguments of one call, taken apart.

    Attributes:
        kind: two calls with equal kinds may share a graph. It holds the structure, the shapes, strides, types and
            devices of tensors, strings, NumPy arrays by their content, and other objects by identity.
        tensors: in the graph's order.
        numbers: the integers and floats. A graph holds them as constants until they change.
        objects: the objects that the kind compares by identity.
    """

    kind: Hashable
    tensors: list[Tensor]
    numbers: list[Any]
    objects: list[Any]


def take_apart(args: tuple, kwargs: dict[str, Any]) -> Arguments:
    """The arguments of a call as an :class:`Arguments`.

    Raises:
        CaptureError: if an argument refers to itself.
    """
    found = Arguments(None, [], [], [])
    try:
        kind: Hashable = tuple([_kind(a, found) for a in args])
        if kwargs:
            kind = kind, _kind(kwargs, found)
    except RecursionError:
        raise CaptureError("no static graph: an argument of the step refers to itself: give its tensors") from None
    return found._replace(kind=kind)


def _kind(value: Any, found: Arguments) -> Hashable:
    if isinstance(value, Tensor):
        if value.is_neg() or value.is_conj():  # its memory holds other numbers
            value = value.resolve_neg().resolve_conj()
        found.tensors.append(value)
        strides = value.stride() if value.layout is torch.strided else None
        return value.shape, strides, value.dtype, value.device, value.requires_grad
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, (int, float, np.generic)):
        found.numbers.append(value)
        return type(value).__name__
    if isinstance(value, np.ndarray):
        return np.ndarray, value.shape, str(value.dtype), value.tobytes() if value.dtype != object else id(value)
    if isinstance(value, (set, frozenset)):
        return frozenset(value)
    parts = _parts(value)
    if parts is None:
        found.objects.append(value)
        return Same(value)
    return type(value), tuple([(key, _kind(part, found)) for key, part in parts])


def _parts(value: Any) -> list[tuple[Any, Any]] | None:
    """The named parts of a container or of an object that holds data; None for any other object."""
    if isinstance(value, (list, tuple)):
        return list(enumerate(value))
    if isinstance(value, dict):
        return [(key if isinstance(key, Hashable) else id(key), part) for key, part in value.items()]
    if isinstance(value, functools.partial):
        return [("func", value.func), ("args", value.args), ("keywords", value.keywords)]
    if _holds_data(value):
        return list(vars(value).items())
    return None


def _holds_data(value: Any) -> bool:
    if isinstance(value, (Namespace, SimpleNamespace)) or (is_dataclass(value) and not isinstance(value, type)):
        return hasattr(value, "__dict__") and not isinstance(value, nn.Module)
    if isinstance(value, (type, nn.Module, ModuleType)) or callable(value) or not hasattr(value, "__dict__"):
        return False
    root = type(value).__module__.partition(".")[0]
    return (root not in sys.stdlib_module_names and root not in ("torch", "pyro", "numpy")) or root == "__main__"


def put_together(
    args: tuple, kwargs: dict[str, Any], tensors: Iterator[Tensor], numbers: Iterator[Any]
) -> tuple[tuple, dict[str, Any]]:
    """Copies of the arguments with other tensors and numbers; the caller's arguments stay unchanged."""

    def rebuilt(value: Any) -> Any:
        if isinstance(value, Tensor):
            return next(tensors)
        if isinstance(value, (*_PLAIN, np.ndarray)):
            return value
        if isinstance(value, (int, float, np.generic)):
            return next(numbers)
        parts = _parts(value)
        if parts is None:
            return value
        return _with_parts(value, [(key, rebuilt(part)) for key, part in parts])

    return tuple(rebuilt(a) for a in args), {key: rebuilt(a) for key, a in kwargs.items()}


def _with_parts(value: Any, parts: list[tuple[Any, Any]]) -> Any:
    """A container or object like ``value`` with these parts."""
    if isinstance(value, tuple):
        make: Callable = getattr(type(value), "_make", type(value))
        return make([part for _, part in parts])
    if isinstance(value, list):
        new = copy.copy(value)
        new[:] = [part for _, part in parts]
        return new
    if isinstance(value, dict):
        filled: dict[Any, Any] = copy.copy(value)
        for key, (_, part) in zip(list(value), parts, strict=True):
            filled[key] = part
        return filled
    if isinstance(value, functools.partial):
        func, args, keywords = (part for _, part in parts)
        return functools.partial(func, *args, **keywords)
    new = copy.copy(value)
    new.__dict__.update(parts)  # because the __setattr__ of a frozen dataclass refuses
    return new
