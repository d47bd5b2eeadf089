"""The values that a program depends on besides its arguments: one walk finds them."""

import functools
from argparse import Namespace
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pyro
import torch
from pyro import poutine
from pyro.params.param_store import ParamStoreDict
from torch import Tensor, nn

from pyro_vae.engine.lookups import function_of, is_ours, is_pyros, is_read, is_users, names_of, of_libraries

#: the walk stops at this many places; the audit alone covers the others
MAX_SLOTS = 20_000

NUMBERS = (int, float, str, bytes, bool, complex, type(None))
_HOOKS = {name for name in vars(nn.Module()) if "hook" in name} | {"_parameters", "_buffers", "_modules"}
CALLED = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")  #: by a module in a pass
_IMPLICIT = {"forward", "__call__", "__getitem__", "__len__", "__iter__", "__getattr__", "__enter__", "__exit__"}
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
        containers: what the program's code can read of its own lists, dictionaries, sets and NumPy arrays, by path.
        tables: the attributes of its objects.
        parts: the parameters, buffers and modules of modules.
        iterators: the paths of the program's own iterators; each pass takes the next items.
        names: what the program's code looks up.
    """

    slots: list[tuple[Slot, Any]] = field(default_factory=list)
    modules: list[nn.Module] = field(default_factory=list)
    generators: list[torch.Generator] = field(default_factory=list)
    containers: list[tuple[Any, str]] = field(default_factory=list)
    tables: list[dict[str, Any]] = field(default_factory=list)
    parts: list[dict[str, Any]] = field(default_factory=list)
    iterators: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    _classes: dict[type, None] = field(default_factory=dict)
    _seen: dict[int, Any] = field(default_factory=dict)
    _own: bool = True  # whether what is visited now belongs to the program, not to a library

    def visit(self, value: Any, path: str) -> None:
        """Follow one object."""
        if isinstance(value, (*NUMBERS, Tensor)) or id(value) in self._seen or len(self.slots) > MAX_SLOTS:
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
            self._held(value, path)
            self._entries(value, [k for k in value if isinstance(k, (str, int, tuple))], lambda k: f"{path}[{k!r}]")
        elif isinstance(value, (list, deque)):
            self._held(value, path)
            self._entries(value, range(len(value)), lambda k: f"{path}[{k}]")
        elif isinstance(value, (tuple, set, frozenset)):
            if isinstance(value, set):
                self._held(value, path)
            for i, item in enumerate(value):
                self.visit(item, f"{path}[{i}]")
        elif isinstance(value, np.ndarray):
            self._held(value, path)
        elif isinstance(value, torch.Generator):
            self.generators.append(value)
        elif isinstance(value, Iterator) and type(value).__module__ in ("builtins", "itertools"):
            if self._own:
                self.iterators.append(path)
        elif not isinstance(value, (*_OPAQUE, BuiltinFunctionType, ModuleType, CodeType)):
            self._object(value, path)

    def _held(self, container: Any, path: str) -> None:
        if self._own:
            self.containers.append((container, path))

    def _belonging(self, own: bool, owner: Any, keys: Iterable[Any], path: str) -> None:
        """The attributes of an object of the program's own or of a library's."""
        outer, self._own = self._own, own
        if own:
            self.tables.append(owner)
        self._entries(owner, keys, lambda k: f"{path}.{k}")
        self._own = outer

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
        names = [name for name in own if name not in _HOOKS]
        if type(module).__module__.startswith("torch."):
            names = [name for name in names if name[0] != "_" and isinstance(own[name], NUMBERS)]
        self._belonging(is_users(type(module).__module__), own, names, path)
        for held in (own["_parameters"], own["_buffers"], own["_modules"]):
            self.parts.append(held)
            self._entries(held, held, lambda k: f"{path}.{k}")
        self._class(type(module))

    def _object(self, value: Any, path: str) -> None:
        if isinstance(value, type):
            self._class(value)
            return
        kind = type(value)
        own = is_users(kind.__module__) or isinstance(value, (Namespace, SimpleNamespace))
        if not hasattr(value, "__dict__") or not (own or is_pyros(kind.__module__)):
            return
        self._belonging(own, vars(value), list(vars(value)), path)
        self._class(kind)

    def _class(self, kind: type) -> None:
        """The attributes of the user's classes; their methods are visited when all names are known."""
        for each in kind.__mro__:
            if each in self._classes or not is_users(each.__module__) or is_ours(each.__module__):
                continue
            self._classes[each] = None
            for name, value in list(vars(each).items()):
                if name[:2] == "__":
                    continue
                if isinstance(value, (*NUMBERS, Tensor)):
                    self.slots.append((ClassSlot(each, name, f"{each.__name__}.{name}"), value))
                elif isinstance(value, (list, dict, set, deque)):
                    self.visit(value, f"{each.__name__}.{name}")

    def leaves(self) -> list[tuple[str, Tensor]]:
        """The tensors that a backward pass leaves gradients on, by path."""
        return [(s.path, v) for s, v in self.slots if isinstance(v, Tensor) and v.requires_grad and v.is_leaf]

    def close(self) -> None:
        """Visit the methods that the code visited so far can call, and what they call."""
        done: set[tuple[type, str]] = set()
        while True:
            called = self.names | _IMPLICIT
            new = [(c, n) for c in self._classes for n in vars(c) if n in called and (c, n) not in done]
            if not new:
                break
            done.update(new)
            for kind, name in new:
                if (function := function_of(vars(kind)[name])) is not None:
                    self.visit(function, f"{kind.__name__}.{name}")
        self.iterators = [path for path in self.iterators if is_read(path, self.names)]

    def narrow(self, ran: dict[CodeType, dict[str, Any]]) -> None:
        """Keep the containers that the code which ran can read, and add the global variables that it reads.

        Args:
            ran: the user's code, each with its global variables.
        """
        self.names = {name for code in ran for name in code.co_names}
        unread = {id(c) for c, path in self.containers if not is_read(path, self.names)}
        self.containers = [(c, path) for c, path in self.containers if id(c) not in unread]
        self.slots = [(slot, value) for slot, value in self.slots if id(slot.owner) not in unread]
        known = {(id(slot.owner), slot.key) for slot, _ in self.slots}
        for code, space in ran.items():
            for name in () if is_ours(space.get("__name__", "")) else code.co_names:
                if name in space and (id(space), name) not in known and not isinstance(space[name], ModuleType):
                    known.add((id(space), name))
                    self.slots.append((Slot(space, name, name), space[name]))

    def _function(self, function: FunctionType, path: str) -> None:
        outer, self._own = self._own, is_users(function.__module__ or "")
        self._surroundings_of(function, path)
        self._own = outer

    def _surroundings_of(self, function: FunctionType, path: str) -> None:
        code = function.__code__
        if self._own:
            self.names |= names_of(code) - of_libraries(code, function.__globals__)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self._slot(Slot(cell, None, name))
        if function.__defaults__:
            self.visit(function.__defaults__, path)
        if function.__kwdefaults__:
            self.visit(function.__kwdefaults__, path)
        if hasattr(function, "__wrapped__"):
            self.visit(function.__wrapped__, path)
        if is_users(function.__module__ or ""):
            space = function.__globals__
            for name in sorted(names_of(code) & space.keys()):
                value = space[name]
                if isinstance(value, ModuleType):
                    self._in_file(value, names_of(code), name)
                else:
                    self._slot(Slot(space, name, name))

    def _in_file(self, module: ModuleType, names: set[str], path: str) -> None:
        """The global variables of another file that the code names, and of those that it reaches through this one."""
        if not is_users(module.__name__):
            return
        inner = vars(module)
        for name in sorted(names & inner.keys()):
            if isinstance(inner[name], ModuleType):
                self._in_file(inner[name], names - {name}, f"{path}.{name}")
            else:
                self._slot(Slot(inner, name, f"{path}.{name}"))


class ClassSlot(Slot):
    """An attribute of a class; only ``setattr`` can write it."""

    def read(self) -> Any:
        return vars(self.owner).get(self.key, _GONE)

    def write(self, value: Any) -> None:
        setattr(self.owner, self.key, value)


def walk(roots: dict[str, Any]) -> Walk:
    """Everything that can be reached from these objects; the paths start with their names."""
    found = Walk()
    for name, root in roots.items():
        found.visit(root, name)
    found.close()
    return found
