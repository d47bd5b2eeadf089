"""How many gray levels images have; missing pixels are on none."""

import numpy as np
from torch import Tensor

from pyro_vae.data.images import DataSet, Images, rows_at_once
from pyro_vae.errors import InputError

MOST = 1024  #: levels that are looked for in floating-point numbers
TOLERANCE = 0.02  #: how far a pixel may be from its level, in steps between two


def levels_of(data: DataSet) -> int:
    """The smallest number L of evenly spaced values 0, 1/(L-1), ..., 1 that hold every pixel of all three splits.

    Raises:
        InputError: where pixels leave [0, 1], or floating-point pixels are on no such values, up to 1,024 of them.

    >>> from pyro_vae.data import load_data
    >>> levels_of(load_data("digits"))
    17
    """
    if not 0 <= data.low <= data.high <= 1:
        raise InputError(f"{data.name} has pixels from {data.low:g} to {data.high:g}, and levels lie in [0, 1]")
    splits = (data.train, data.validation, data.test)
    whole = str(data.train.pixels.dtype).removeprefix("torch.") in ("bool", "uint8", "uint16")
    found = _of_whole(splits, round(data.train.divisor)) if whole else _of_floats(splits)
    if found is None:
        raise InputError(
            f"{data.name} has floating-point pixels that are on no {MOST:,} evenly spaced levels from 0 to 1:"
            " round them, store them as uint8, or use --likelihood Gaussian"
        )
    return found


def _of_whole(splits: tuple[Images, ...], divisor: int) -> int:
    """By the greatest common divisor of all stored numbers and the one that stands for 1."""
    step = divisor
    for images in splits:
        for chunk in images.chunks(rows_at_once(images.image_shape, 2**20)):
            if step == 1:
                return divisor + 1
            numbers = np.unique((chunk * divisor).round().cpu().numpy().astype(np.int64))
            step = int(np.gcd.reduce([*numbers.tolist(), step]))
    return divisor // step + 1


def _of_floats(splits: tuple[Images, ...]) -> int | None:
    """The first number of levels that hold all values; None where there are more values than levels looked for."""
    values = np.array([0.0, 1.0])
    for images in splits:
        for chunk in images.chunks(rows_at_once(images.image_shape, 2**20)):
            seen = chunk[~chunk.isnan()].cpu().numpy().astype(np.float64)
            values = np.unique(np.concatenate([values, seen.round(6)]))
            if len(values) > MOST:
                return None
    return next(
        (n + 1 for n in range(1, MOST) if np.abs(values * n - np.rint(values * n)).max() < TOLERANCE / 10), None
    )


def off_levels(x: Tensor, levels: int) -> bool:
    """Whether a pixel of x that is not missing is between two levels."""
    steps = x.nan_to_num(0.0) * (levels - 1)
    return bool((steps - steps.round()).abs().max() > TOLERANCE)
