"""A pass whose side effects are undone."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyro
import torch

from pyro_vae.engine.origins import Origins
from pyro_vae.engine.surroundings import Slot, Walk, walk
from pyro_vae.engine.watch import is_small_array
from pyro_vae.seeds import forked


@dataclass
class Changes:
    """The side effects of a pass.

    Attributes:
        moved: the places that hold another object after the pass, each with its old object.
        created: the names of the parameters that the pass has made.
        assigned: the places of plain values that hold another value after the pass, each with its old and its new one.
        carried: why no graph can repeat the pass, if a later pass has such effects too: each names a value that is kept
            between passes.
        reasons: why no graph can repeat the pass, whatever later ones do.
    """

    moved: list[tuple[Slot, Any]] = field(default_factory=list)
    created: list[str] = field(default_factory=list)
    assigned: list[tuple[Slot, Any, Any]] = field(default_factory=list)
    carried: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    @property
    def refusal(self) -> str | None:
        """The first of all reasons."""
        return next(iter([*self.reasons, *self.carried]), None)


@contextmanager
def untouched(roots: dict[str, Any], origins: Origins) -> Iterator[tuple[Walk, Changes]]:
    """Run a pass in this context; then restore random states, stores, gradients, tensors and attributes.

    Args:
        roots: the objects that the program consists of, by name.
        origins: the mode under which the pass runs; it records the tensors that the pass writes to.

    Yields:
        everything that can be reached from the roots; and the side effects, filled in at the end.
    """
    before, changes = walk(roots), Changes()
    store = pyro.get_param_store()
    tables: list[dict[Any, Any]] = [store._params, store._param_to_name, store._constraints]
    kept = [dict(table) for table in tables]
    gradients = [(p, p.grad) for p in _parameters(before, kept[0])]
    contents = [(c, path, _contents(c)) for c, path in before.containers if _is_kept(c)]
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 (programs use it)
    own = [g.get_state() for g in before.generators]
    with forked():
        try:
            yield before, changes
        finally:
            _compare(before, changes, kept[0], store)
            if random.getstate() != python:
                changes.reasons.append("Python's random numbers are drawn: draw with torch instead")
                random.setstate(python)
            if not _same_state(np.random.get_state(), numpy):  # noqa: NPY002
                changes.reasons.append("NumPy's random numbers are drawn: draw with torch instead")
                np.random.set_state(numpy)  # noqa: NPY002
            for generator, state in zip(before.generators, own, strict=True):
                if not torch.equal(generator.get_state(), state):
                    changes.reasons.append(
                        "numbers are drawn from a generator of the program's own: use torch's default generator"
                    )
                    generator.set_state(state)
            for container, path, old in contents:
                if _differs(container, old):
                    changes.carried.append(f"{path} changes its contents in each pass: change it outside of the pass")
                    _refill(container, old)
            for slot, old in changes.moved:
                slot.write(old)
            tables = [store._params, store._param_to_name, store._constraints]  # a pass may have cleared the store
            for table, old_table in zip(tables, kept, strict=True):
                if list(map(id, table.values())) != list(map(id, old_table.values())):
                    table.clear()
                    table.update(old_table)
            origins.undo()
            for parameter, gradient in gradients:
                parameter.grad = gradient


def _parameters(before: Walk, params: dict[str, Any]) -> list[torch.Tensor]:
    found = [*params.values(), *(p for m in before.modules for p in m._parameters.values() if p is not None)]
    found += [v for _, v in before.slots if isinstance(v, torch.Tensor) and v.requires_grad and v.is_leaf]
    return list({id(p): p for p in found}.values())


def _compare(before: Walk, changes: Changes, params: dict[str, Any], store: Any) -> None:
    """Record the places that the pass has changed, and the reasons against a graph."""
    for slot, old in before.slots:
        new = slot.read()
        if new is old or slot.key == "max_plate_nesting":  # an ELBO guesses it once
            continue
        changes.moved.append((slot, old))
        if _is_plain(old) and _is_plain(new) and new != old and not (new != new and old != old):
            changes.assigned.append((slot, old, new))
    changes.created += [name for name in store._params if name not in params]
    for name, value in params.items():
        if store._params.get(name) is not value:
            changes.carried.append(f"the pass assigns {name!r} in the param store, which a graph would do once")


def _is_plain(value: Any) -> bool:
    """Whether a value decides how a program goes on by being equal to another or not."""
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return isinstance(value, (int, float, complex, str, bytes, np.generic))


def _is_kept(container: Any) -> bool:
    return not isinstance(container, np.ndarray) or is_small_array(container)


def _contents(container: Any) -> Any:
    return container.copy() if isinstance(container, (np.ndarray, dict)) else list(container)


def _differs(container: Any, old: Any) -> bool:
    if isinstance(container, np.ndarray):
        return container.tobytes() != old.tobytes()
    return len(container) != len(old) or (isinstance(container, set) and any(each not in container for each in old))


def _refill(container: Any, old: Any) -> None:
    if isinstance(container, np.ndarray):
        container[...] = old
        return
    container.clear()
    container.update(old) if isinstance(container, (dict, set)) else container.extend(old)


def _same_state(a: Any, b: Any) -> bool:
    return a[0] == b[0] and np.array_equal(a[1], b[1]) and a[2:] == b[2:]
