"""The values that a program depends on besides its arguments: one walk finds them, and each step checks them."""

import functools
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import is_, itemgetter
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.params.param_store import ParamStoreDict
from torch import Tensor, nn

#: the walk stops at this many places; the audit alone covers the others
MAX_SLOTS = 20_000

_CLOSED = sys.stdlib_module_names | {"numpy", "torch", "pandas", "matplotlib", "networkx", "pytest", "_pytest", "tqdm"}
_NUMBERS = (int, float, str, bytes, bool, complex, type(None))
_HOOKS = {name for name in vars(nn.Module()) if "hook" in name} | {"_parameters", "_buffers", "_modules"}
_CALLED = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")  #: by a module in a pass
_OPAQUE = (poutine.Trace, ParamStoreDict, pyro.optim.PyroOptim, torch.optim.Optimizer, type(torch.Size()))


@dataclass(frozen=True, eq=False)
class Slot:
    """A place that the program may read: an entry of a dictionary (of an object, say) or a list, or a closure's cell.

    Attributes:
        owner: the dictionary, list or cell.
        key: of the entry; None for a cell.
        path: the name of the place in messages.
    """

    owner: Any
    key: Any
    path: str

    def read(self) -> Any:
        try:
            return self.owner.cell_contents if self.key is None else self.owner[self.key]
        except (KeyError, IndexError, ValueError):
            return _GONE

    def write(self, value: Any) -> None:
        if self.key is None:
            self.owner.cell_contents = value
        else:
            self.owner[self.key] = value


_GONE = object()


@dataclass
class Walk:
    """Everything that can be reached from a program.

    Attributes:
        slots: the places, with the value of each.
        modules: all modules; a graph holds their training modes.
        generators: generators of the program's own, besides torch's default ones.
    """

    slots: list[tuple[Slot, Any]] = field(default_factory=list)
    modules: list[nn.Module] = field(default_factory=list)
    generators: list[torch.Generator] = field(default_factory=list)
    _seen: dict[int, Any] = field(default_factory=dict)

    def visit(self, value: Any, path: str) -> None:
        """Follow one object."""
        if isinstance(value, (*_NUMBERS, Tensor)) or id(value) in self._seen or len(self.slots) > MAX_SLOTS:
            return
        self._seen[id(value)] = value
        if isinstance(value, nn.Module):
            self._module(value, path)
        elif isinstance(value, FunctionType):
            self._function(value, path)
        elif isinstance(value, MethodType):
            self.visit(value.__self__, path.rpartition(".")[0] or path)
            self.visit(value.__func__, path)
        elif isinstance(value, functools.partial):
            for part in (value.func, value.args, value.keywords):
                self.visit(part, path)
        elif isinstance(value, dict):
            self._entries(value, [k for k in value if isinstance(k, (str, int, tuple))], lambda k: f"{path}[{k!r}]")
        elif isinstance(value, list):
            self._entries(value, range(len(value)), lambda k: f"{path}[{k}]")
        elif isinstance(value, (tuple, set, frozenset)):
            for i, item in enumerate(value):
                self.visit(item, f"{path}[{i}]")
        elif isinstance(value, torch.Generator):
            self.generators.append(value)
        elif not isinstance(value, (*_OPAQUE, BuiltinFunctionType, ModuleType, CodeType)):
            self._object(value, path)

    def _entries(self, owner: Any, keys: Iterable[Any], path: Any) -> None:
        for key in list(keys):
            self._slot(Slot(owner, key, path(key)))

    def _slot(self, slot: Slot) -> None:
        value = slot.read()
        self.slots.append((slot, value))
        self.visit(value, slot.path)

    def _module(self, module: nn.Module, path: str) -> None:
        self.modules.append(module)
        if isinstance(module, torch.jit.ScriptModule):  # its attributes are TorchScript's
            return
        own = vars(module)
        foreign = type(module).__module__.startswith("torch.")
        names = [k for k in own if k not in _HOOKS and not (foreign and k not in ("p", "momentum"))]
        self._entries(own, names, lambda k: f"{path}.{k}")
        for held in (own["_parameters"], own["_buffers"], own["_modules"]):
            self._entries(held, held, lambda k: f"{path}.{k}")

    def _object(self, value: Any, path: str) -> None:
        if isinstance(value, type):
            if _is_users(value.__module__):
                names = [k for k, v in vars(value).items() if isinstance(v, (*_NUMBERS, Tensor)) and k[:2] != "__"]
                self.slots += [(_ClassSlot(value, k, f"{path}.{k}"), vars(value)[k]) for k in names]
            return
        kind = type(value)
        if not hasattr(value, "__dict__") or not (_is_users(kind.__module__) or _is_pyros(kind.__module__)):
            return
        self._entries(vars(value), list(vars(value)), lambda k: f"{path}.{k}")
        self.visit(kind, kind.__name__)

    def _function(self, function: FunctionType, path: str) -> None:
        code = function.__code__
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self._slot(Slot(cell, None, name))
        if function.__defaults__:
            self.visit(function.__defaults__, path)
        if function.__kwdefaults__:
            self.visit(function.__kwdefaults__, path)
        if hasattr(function, "__wrapped__"):
            self.visit(function.__wrapped__, path)
        if _is_users(function.__module__ or ""):
            space = function.__globals__
            for name in sorted(_names(code) & space.keys()):
                value = space[name]
                if isinstance(value, ModuleType):
                    if _is_users(value.__name__):
                        inner = vars(value)
                        self._entries(inner, sorted(_names(code) & inner.keys()), lambda k, n=name: f"{n}.{k}")
                else:
                    self._slot(Slot(space, name, name))


class _ClassSlot(Slot):
    """An attribute of a class; only ``setattr`` can write it."""

    def read(self) -> Any:
        return vars(self.owner).get(self.key, _GONE)

    def write(self, value: Any) -> None:
        setattr(self.owner, self.key, value)


def _names(code: CodeType) -> set[str]:
    """The names that a function and its inner functions look up."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _names(constant)
    return found


def _is_users(module: str) -> bool:
    root = module.partition(".")[0]
    return root == "__main__" or (root not in _CLOSED and root != "pyro")


def _is_pyros(module: str) -> bool:
    return module.startswith(("pyro.", "torch.distributions"))


def walk(roots: dict[str, Any]) -> Walk:
    """Everything that can be reached from these objects; the paths start with their names."""
    found = Walk()
    for name, root in roots.items():
        found.visit(root, name)
    return found


class Watch:
    """Some of a walk's slots, and whether each still holds its value.

    Args:
        slots: with the expected value of each. Numbers and strings are compared by value, other objects by identity.
        modules: their training modes and their hooks are compared too.
    """

    def __init__(self, slots: Iterable[tuple[Slot, Any]], modules: Iterable[nn.Module] = ()):
        self.slots = list(slots)
        self._modules = list(modules)
        self._modes = [m.training for m in self._modules]
        self._tables = [vars(m)[name] for m in self._modules for name in _CALLED if name in vars(m)]
        self._hooks = self._hooked()
        self._group()

    def _group(self) -> None:
        """Group the slots by owner, so that one call reads all slots of an owner."""
        owners: dict[int, list[tuple[Slot, Any]]] = {}
        cells: list[tuple[Slot, Any]] = []
        for slot, value in self.slots:
            if slot.key is None or isinstance(slot, _ClassSlot):
                cells.append((slot, value))
            else:
                owners.setdefault(id(slot.owner), []).append((slot, value))
        self._groups = []
        for held in owners.values():
            keys = [slot.key for slot, _ in held]
            values = [value for _, value in held]
            if len(keys) == 1:  # with one key, the getter would return no tuple
                keys, values = keys * 2, values * 2
            self._groups.append((held[0][0].owner, itemgetter(*keys), values))
        self._cells = cells

    def holds(self) -> bool:
        """Whether nothing changed."""
        if not self.modes_hold():
            return False
        try:
            for owner, get, values in self._groups:
                if not all(map(is_, get(owner), values)):
                    return self._equal()
        except (KeyError, IndexError):
            return False
        for slot, value in self._cells:
            if slot.read() is not value:
                return self._equal()
        return True

    def _equal(self) -> bool:
        """Whether all changed objects are equal numbers; if so, expect the new objects from now on."""
        if self.changed():
            return False
        self.slots = [(slot, slot.read()) for slot, _ in self.slots]
        self._group()
        return True

    def changed(self) -> list[tuple[Slot, Any, Any]]:
        """The slots with another value now, each with its old and its new value."""
        found = []
        for slot, value in self.slots:
            new = slot.read()
            if new is not value and not _same_number(new, value):
                found.append((slot, value, new))
        return found

    def modes_hold(self) -> bool:
        """Whether all modules still have the same training mode and the same hooks."""
        return [m.training for m in self._modules] == self._modes and self._hooked() == self._hooks

    def _hooked(self) -> list[tuple[int, ...]]:
        return [*map(tuple, filter(None, self._tables))]


def _same_number(a: Any, b: Any) -> bool:
    return type(a) is type(b) and isinstance(a, _NUMBERS) and (a == b or (a != a and b != b))
