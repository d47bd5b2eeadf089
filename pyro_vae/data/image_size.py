"""One size for the pictures of a folder: how it is written, and how a picture is brought to it."""

import re
from typing import Any

import numpy as np

from pyro_vae.errors import InputError

Size = tuple[int, int]  #: height, width
LARGEST = 4096  #: of a side


def parse_size(text: str | int) -> Size:
    """Height and width from H or HxW.

    Raises:
        InputError: if it is neither, or a side is not from 1 to 4,096.

    >>> parse_size("32"), parse_size("48x64")
    ((32, 32), (48, 64))
    """
    found = re.fullmatch(r"(\d{1,4})(?:x(\d{1,4}))?", str(text).strip().lower())
    size = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not all(1 <= side <= LARGEST for side in size):
        raise InputError(f"--image-size is H or HxW in pixels, up to {LARGEST:,}, such as 32 or 48x64, not {text!r}")
    return size


def resized(picture: Any, size: Size | None) -> Any:
    """A picture of Pillow, of mode L, RGB, RGBA or I;16, at this size.

    Each new pixel is a bicubic mean over all old ones that it covers; opacity weighs the colours.
    """
    from PIL import Image

    if size is None or picture.size == (size[1], size[0]):
        return picture
    shape = (size[1], size[0])
    if not picture.mode.startswith("I;16"):
        return picture.resize(shape, Image.Resampling.BICUBIC)
    gray = Image.fromarray(np.asarray(picture).astype(np.float32)).resize(shape, Image.Resampling.BICUBIC)
    return Image.fromarray(np.rint(np.asarray(gray)).clip(0, 65535).astype(np.uint16))
