"""Numbers that change between steps and are inputs of a graph: arguments, and attributes of model, guide or ELBO."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from pyro_vae.engine.blame import NotStatic, is_users_file
from pyro_vae.engine.surroundings import Slot


def exact(value: Any) -> bool:
    """Whether a scalar of a graph can hold this number: whole ones are kept to 2 ** 24."""
    return isinstance(value, float) or abs(value) <= 2**24


class Numbers:
    """Scalars that a graph reads at each step.

    Args:
        indices: which of the arguments' numbers are inputs.
        slots: the other places whose numbers are inputs.
        like: a tensor with the type and device of the scalars. Python multiplies two numbers in float64; these scalars
            are rounded to this type before they are multiplied.

    Attributes:
        tensors: the scalars, those of the arguments first.
    """

    def __init__(self, indices: Sequence[int], slots: Sequence[Slot], like: Tensor):
        self.indices, self.slots = tuple(indices), tuple(slots)
        kind = like.dtype if like.dtype.is_floating_point else torch.get_default_dtype()
        self.tensors = [torch.zeros((), dtype=kind, device=like.device) for _ in (*indices, *slots)]
        self._last: list[Any] = [None] * len(self.tensors)

    def read(self, numbers: Sequence[Any]) -> None:
        """Copy the current values to the scalars."""
        values = self._values(numbers)
        for i, value in enumerate(values):
            if value is not self._last[i] or isinstance(value, Tensor):
                self.tensors[i].copy_(value) if isinstance(value, Tensor) else self.tensors[i].fill_(value)
                self._last[i] = value

    def _values(self, numbers: Sequence[Any]) -> list[Any]:
        return [*(numbers[i] for i in self.indices), *(slot.read() for slot in self.slots)]

    def fit(self, numbers: Sequence[Any]) -> bool:
        """Whether the scalars can hold the current values."""
        return all(isinstance(v, Tensor) or exact(v) for v in self._values(numbers))

    def of(self, numbers: Sequence[Any], scalars: Sequence[Tensor]) -> list[Any]:
        """The arguments' numbers, with a scalar instead of each number that is an input."""
        found = list(numbers)
        for i, scalar in zip(self.indices, scalars, strict=False):
            found[i] = scalar
        return found

    @contextmanager
    def live(self, scalars: Sequence[Tensor]) -> Iterator[None]:
        """In this context, the places hold the scalars, and the program's own lines look none up in a table."""
        with placed(self.slots, scalars[len(self.indices) :]), _not_looked_up(scalars):
            yield


@contextmanager
def _not_looked_up(scalars: Sequence[Tensor]) -> Iterator[None]:
    """In this context, a set or a dictionary that is asked for a scalar raises an error: tensors hash by identity."""
    own, ids = Tensor.__hash__, set(map(id, scalars))

    def hashed(tensor: Tensor) -> int:
        if id(tensor) in ids and is_users_file(sys._getframe(1).f_code.co_filename):
            raise NotStatic("a number that changes from step to step is looked up in a set or a dictionary")
        return own(tensor)

    Tensor.__hash__ = hashed  # type: ignore[method-assign]
    try:
        yield
    finally:
        Tensor.__hash__ = own  # type: ignore[method-assign]


@contextmanager
def placed(slots: Sequence[Slot], values: Sequence[Any]) -> Iterator[None]:
    """In this context, the places hold these values."""
    old = [slot.read() for slot in slots]
    for slot, value in zip(slots, values, strict=True):
        slot.write(value)
    try:
        yield
    finally:
        for slot, value in zip(slots, old, strict=True):
            slot.write(value)
