"""Whether the values that a program depends on besides its arguments are as they were: each step asks."""

from collections.abc import Container, Iterable
from operator import is_, itemgetter
from typing import Any

import numpy as np
from torch import Tensor

from pyro_vae.engine.surroundings import CALLED, NUMBERS, ClassSlot, Slot, Walk

#: bytes of one array and of all; the audit alone covers NumPy's larger ones
MAX_ARRAY, MAX_ARRAYS = 2**16, 2**20


class Watch:
    """Some of a walk's slots, and whether each still holds its value.

    Args:
        slots: with the expected value of each. Numbers and strings are compared by value, other objects by identity.
        found: the walk, of which the training modes and hooks of modules, the sizes of containers and the contents of
            arrays are compared too.
        loose: slots whose tensor may be replaced by one of the same kind, by their ids.
    """

    def __init__(
        self, slots: Iterable[tuple[Slot, Any]], found: Walk | None = None, loose: Container[int] = frozenset()
    ):
        found = found or Walk()
        self.slots, self._loose = list(slots), loose
        self._modules, self._names = found.modules, found.names
        arrays = [c for c, _ in found.containers if is_small_array(c)]
        self._arrays = [(a, a.tobytes()) for a in arrays] if sum(a.nbytes for a in arrays) <= MAX_ARRAYS else []
        self._sized = [*found.parts, *(c for c, _ in found.containers if not isinstance(c, np.ndarray))]
        self._sizes = [*map(len, self._sized)]
        self._tables_of, self._lengths = found.tables, [*map(len, found.tables)]
        self._keys = [set(table) for table in found.tables]
        self._modes = [m.training for m in self._modules]
        self._tables = [vars(m)[name] for m in self._modules for name in CALLED if name in vars(m)]
        self._hooks = self._hooked()
        self._group()

    def _group(self) -> None:
        """Group the slots by owner, so that one call reads all slots of an owner."""
        owners: dict[int, list[tuple[Slot, Any]]] = {}
        cells: list[tuple[Slot, Any]] = []
        for slot, value in self.slots:
            if slot.key is None or isinstance(slot, ClassSlot):
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
        if not self.modes_hold() or not self.sizes_hold():
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
        self.renew()
        return True

    def renew(self) -> None:
        """From now on, expect the values that the slots hold at this moment."""
        self.slots = [(slot, slot.read()) for slot, _ in self.slots]
        self._group()

    def sizes_hold(self) -> bool:
        """Whether nothing came or went in containers, no array changed, and no object has a new attribute to read."""
        if [*map(len, self._sized)] != self._sizes or any(a.tobytes() != old for a, old in self._arrays):
            return False
        lengths = [*map(len, self._tables_of)]
        if lengths == self._lengths:
            return True
        if any((set(table) ^ keys) & self._names for table, keys in zip(self._tables_of, self._keys, strict=True)):
            return False
        self._lengths, self._keys = lengths, [set(table) for table in self._tables_of]
        return True

    def changed(self) -> list[tuple[Slot, Any, Any]]:
        """The slots with another value now, each with its old and its new value."""
        found = []
        for slot, value in self.slots:
            new = slot.read()
            if new is value or _same_number(new, value):
                continue
            if not (id(slot) in self._loose and isinstance(new, Tensor) and alike(value, new)):
                found.append((slot, value, new))
        return found

    def modes_hold(self) -> bool:
        """Whether all modules still have the same training mode and the same hooks."""
        return [m.training for m in self._modules] == self._modes and self._hooked() == self._hooks

    def _hooked(self) -> list[tuple[int, ...]]:
        return [*map(tuple, filter(None, self._tables))]


def alike(a: Tensor, b: Tensor) -> bool:
    """Whether a graph made for one tensor fits the other."""
    return (
        a.shape == b.shape
        and a.dtype == b.dtype
        and a.device == b.device
        and a.requires_grad == b.requires_grad
        and a.layout == b.layout
        and a.stride() == b.stride()
    )


def is_small_array(value: Any) -> bool:
    """Whether a value is an array of NumPy's whose contents are compared."""
    return isinstance(value, np.ndarray) and value.nbytes <= MAX_ARRAY and not value.dtype.hasobject


def _same_number(a: Any, b: Any) -> bool:
    return type(a) is type(b) and isinstance(a, NUMBERS) and (a == b or (a != a and b != b))
