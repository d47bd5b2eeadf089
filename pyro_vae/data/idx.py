"""Files of the format IDX, in which MNIST and its kin are published (http://yann.lecun.com/exdb/mnist)."""

import math
from pathlib import Path

import numpy as np

BYTES = 8  #: the code of the type uint8


def read_idx(path: Path, axes: int) -> np.ndarray:
    """The array of uint8 with so many axes in a file.

    Raises:
        ValueError: if the file is something else, or its length is not that of its array.
        OSError: if it cannot be read.
    """
    head = np.fromfile(path, ">i4", 1 + axes)
    if len(head) < 1 + axes or head[0] != BYTES << 8 | axes:
        raise ValueError(f"{path.name} is no IDX file of {axes} axes of bytes")
    shape, start = tuple(map(int, head[1:])), head.nbytes
    if min(shape) < 0 or path.stat().st_size - start != math.prod(shape):
        raise ValueError(
            f"{path.name} has not the length of the {' x '.join(map(str, shape))} values that it announces"
        )
    return np.fromfile(path, np.uint8, offset=start).reshape(shape)
