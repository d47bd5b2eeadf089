"""Numbers that change between steps and are inputs of a graph: arguments, and attributes of model, guide or ELBO."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor

from pyro_vae.engine.surroundings import Slot


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
        values = [numbers[i] for i in self.indices]
        values += [slot.read() for slot in self.slots]
        for i, value in enumerate(values):
            if value is not self._last[i] or isinstance(value, Tensor):
                self.tensors[i].copy_(value) if isinstance(value, Tensor) else self.tensors[i].fill_(value)
                self._last[i] = value

    def of(self, numbers: Sequence[Any], scalars: Sequence[Tensor]) -> list[Any]:
        """The arguments' numbers, with a scalar instead of each number that is an input."""
        found = list(numbers)
        for i, scalar in zip(self.indices, scalars, strict=False):
            found[i] = scalar
        return found

    def live(self, scalars: Sequence[Tensor]) -> AbstractContextManager[None]:
        """In this context, the places hold the scalars."""
        return placed(self.slots, scalars[len(self.indices) :])


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
