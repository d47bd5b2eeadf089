"""From an array of any usual layout to images: the axis of the channels, and the meaning of a stored number."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from pyro_vae.data.images import Images
from pyro_vae.data.rows import as_table, is_table
from pyro_vae.errors import InputError

Layout = Literal["auto", "channels_first", "channels_last"]

USUAL = (1, 3, 4)  #: channels: gray, RGB, RGB with opacity
#: stored types, and the divisors of their numbers
DIVISORS = {"bool": 1.0, "uint8": 255.0, "uint16": 65535.0, "float16": 1.0, "float32": 1.0, "float64": 1.0}


def channels_of(shape: tuple[int, ...]) -> Layout:
    """Where the channels are in the shape ``(A, B, C)`` of one image: auto if the shape does not tell.

    An end of 1, 3 or 4 is the channels if the other end is none of these; if no end is, an end of 2. If the axis
    between could also be channels or a small side, as in feature maps of 64 x 4 x 4, the shape does not tell.

    >>> channels_of((3, 28, 20)), channels_of((28, 20, 3)), channels_of((12, 10, 6))
    ('channels_first', 'channels_last', 'auto')
    """
    first, middle, last = shape
    if first == middle == last == 1:
        return "channels_first"
    if (first in USUAL) != (last in USUAL):
        end = first if first in USUAL else last
        certain = end == 1 or middle not in (3, 4)
    elif first not in USUAL and (first == 2) != (last == 2):
        end, certain = 2, middle > 4
    else:
        return "auto"
    if not certain:
        return "auto"
    return "channels_first" if first == end else "channels_last"


def channels_first(array: np.ndarray, layout: str, name: str) -> np.ndarray:
    """An array ``(N, H, W)``, ``(N, C, H, W)`` or ``(N, H, W, C)`` as ``(N, C, H, W)``, without a copy.

    Rows ``(N, P)`` of pixels are images of one line.

    Args:
        layout: of four axes; auto reads it from the shape.
        name: of the array in an error.

    Raises:
        InputError: if the array has other axes, or the layout is auto and the shape has two readings.
    """
    if array.ndim == 2:
        return array[:, None, None]
    if array.ndim == 3:
        return array[:, None]
    if array.ndim != 4:
        raise InputError(
            f"{name} has shape {array.shape}; images are N x H x W, N x C x H x W or N x H x W x C, and a table is"
            " N x P"
        )
    if layout == "auto" and array.size:
        layout = channels_of(array.shape[1:])
        if layout == "auto":
            raise InputError(
                f"{name} has shape {array.shape}, whose channels may come first or last:"
                " say which by --layout channels_first or --layout channels_last"
            )
    return np.moveaxis(array, -1, 1) if layout == "channels_last" else array


def as_images(array: np.ndarray, layout: str, name: str, names: Sequence[str] | None = None) -> Images:
    """An array as images: whole numbers of 8 and 16 bits become [0, 1], floating-point numbers stay as they are.

    Rows ``(N, P)`` of other numbers are a table, whose columns have these names.

    Raises:
        InputError: if the array's shape or type does not fit images, or a layout is given without an axis of channels.
    """
    if layout not in get_args(Layout):
        raise InputError(f"no layout {layout!r}; there are {', '.join(get_args(Layout))}")
    if layout != "auto" and array.ndim in (2, 3):
        raise InputError(f"{name} has shape {array.shape}, in which no axis holds channels: leave out --layout")
    if is_table(array):
        return as_table(array, names, name)
    pixels = channels_first(array, layout, name)
    if pixels.size == 0:
        raise InputError(f"{name} is empty: its shape is {array.shape}")
    if array.dtype.name not in DIVISORS or not array.dtype.isnative:
        raise InputError(
            f"{name} holds {array.dtype.name}; images are uint8, uint16, bool, or float16, 32 or 64 of this machine:"
            " array.astype('uint8') makes gray levels from 0 to 255 of whole numbers"
        )
    return Images(pixels, DIVISORS[array.dtype.name])
