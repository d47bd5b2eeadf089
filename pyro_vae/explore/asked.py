"""What a request asks for, checked: nothing else of it reaches the functions that answer."""

import base64
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyro_vae.errors import InputError
from pyro_vae.explore.opened import Exhibit, Opened

MOST_POINTS = 64  #: decoded in one request
SIDES = (16, 512)  #: pixels along a side of a drawing


class Asked:
    """The fields of a request.

    Args:
        fields: from JSON.
    """

    def __init__(self, fields: Any):
        if not isinstance(fields, Mapping):
            raise InputError("a request is a table of fields")
        self.fields = fields

    def number(self, name: str, below: int, least: int = 0) -> int:
        """A whole number in [least, below).

        Raises:
            InputError: where it is none.
        """
        value = self.fields.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < below:
            raise InputError(f"{name} is a whole number from {least} to {below - 1}, not {value!r}")
        return value

    def run(self, exhibit: Exhibit) -> Opened:
        """The run that is asked for."""
        return exhibit.opened[self.number("run", len(exhibit.opened))]

    def axes(self, opened: Opened) -> tuple[int, int]:
        """Two different dimensions of z."""
        value, d = self.fields.get("axes"), opened.run.model.latent_dim
        pair = value if isinstance(value, list) and len(value) == 2 else [None, None]
        first, second = (Asked({"axes": one}).number("axes", d) for one in pair)
        if first == second:
            raise InputError("the two axes of a plane differ")
        return first, second

    def raster(self) -> np.ndarray:
        """Ink of a drawing in [0, 1], ``(S, S)``."""
        try:
            content = base64.b64decode(str(self.fields.get("ink")), validate=True)
        except ValueError as error:
            raise InputError("ink is base64 of S x S bytes") from error
        side = math.isqrt(len(content))
        if side**2 != len(content) or not SIDES[0] <= side <= SIDES[1]:
            raise InputError(f"ink is S x S bytes, S from {SIDES[0]} to {SIDES[1]}")
        return np.frombuffer(content, np.uint8).reshape(side, side) / np.float32(255)

    def points(self, opened: Opened) -> Tensor:
        """Points of the latent space, ``(M, D)``."""
        value, d = self.fields.get("z"), opened.run.model.latent_dim
        rows = value if isinstance(value, list) else []
        fits = all(isinstance(row, list) and len(row) == d and all(map(_is_place, row)) for row in rows)
        if not rows or not fits or len(rows) > MOST_POINTS:
            raise InputError(f"z is a list of 1 to {MOST_POINTS} points of {d} finite numbers each")
        return torch.tensor(rows, dtype=torch.float32)


def _is_place(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < 1e6  # neither NaN nor a whole number beyond all floats is
