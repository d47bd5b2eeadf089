"""One look through all images of a data set: their range, the mean image, what is missing, and what is not fit."""

import base64
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pyro_vae.data.images import DataSet, Images, rows_at_once
from pyro_vae.data.remembered import recall, remember
from pyro_vae.errors import InputError
from pyro_vae.heartbeat import told


def described(
    name: str,
    splits: tuple[Images, Images, Images],
    likelihood: str,
    known_as: str | None = None,
    say: Callable[[str], None] | None = None,
    missing: bool = False,
) -> DataSet:
    """A data set of three splits, checked once.

    Args:
        splits: training, validation and test images.
        known_as: of :class:`DataSet`.
        say: takes a line about a look that takes long; None says nothing.
        missing: whether NaN is a missing value, as it is in a table; otherwise it is an error.

    Raises:
        InputError: if an image holds infinity, or NaN that is not allowed, or all pixels have one value.
    """
    train, validation, test = splits
    missing = missing or train.names is not None
    named = {"training": train, "validation": validation, "test": test}
    for split, part in named.items():
        if not len(part):
            raise InputError(f"{name}: there are no {split} images")
    known_as = f"{known_as}-missing" if known_as and missing else known_as
    looked = _remembered(known_as, train.image_shape) or _looked_through(name, named, known_as, say, missing)
    low, high, mean, absent = looked
    if absent and low > high:
        raise InputError(f"{name}: every value is missing")
    if low == high:
        raise InputError(f"{name}: every pixel of every image is {low:g}: there is nothing to learn")
    if train.divisor == 255 and round(high * 255) == 1:
        raise InputError(f"{name}: whole numbers of 8 bits that are only 0 and 1: store them as bool, or times 255")
    if train.divisor == 65535 and round(high * 65535) <= 255:
        raise InputError(f"{name}: whole numbers of 16 bits that are at most {high * 65535:.0f}: store them as uint8")
    return DataSet(name, train, validation, test, likelihood, mean, low, high, known_as, absent)


def _looked_through(
    name: str, splits: dict[str, Images], known_as: str | None, say: Callable[[str], None] | None, missing: bool
) -> tuple[float, float, Tensor, int]:
    """The lowest and the highest pixel of all images, the mean training image, and how many values are missing."""
    train, count, done, absent = splits["training"], sum(map(len, splits.values())), 0, 0
    low, high, total = float("inf"), float("-inf"), torch.zeros(train.image_shape, dtype=torch.float64)
    seen: Tensor | int = 0
    with told(say, f"looking through {name}, which is done once") as at:
        for split, part in splits.items():
            for chunk in part.chunks(rows_at_once(part.image_shape, 2**20)):
                holes = chunk.isnan()
                if not (chunk.isfinite() | (holes & missing)).all():
                    raise InputError(_unfit(name, split, part, chunk, missing))
                here = chunk[~holes] if holes.any() else chunk
                if here.numel():
                    low, high = min(low, here.min().item()), max(high, here.max().item())
                absent += chunk.numel() - here.numel()
                if part is train:
                    total += torch.where(holes, 0.0, chunk).sum(0, dtype=torch.float64)
                    seen = seen + (~holes).sum(0)
                done += len(chunk)
                at(done / count)
    assert isinstance(seen, Tensor)
    # where no training image shows a pixel, the mean of all pixels
    mean = torch.where(seen > 0, total / seen, total.sum() / seen.sum()).to(torch.float32)
    content = base64.b64encode(mean.numpy().tobytes()).decode()
    remember("look", known_as, {"low": low, "high": high, "mean": content, "missing": absent})
    return low, high, mean, absent


def _unfit(name: str, split: str, part: Images, chunk: Tensor, missing: bool) -> str:
    """A line on a value that is not finite: the column of a table is named."""
    if part.names is not None:
        column = part.names[int(chunk.isinf().flatten(0, -2).any(0).nonzero()[0])]
        return (
            f"{name}: column {column!r} holds infinite values in the {split} rows: make them missing, or leave it out"
        )
    if missing:
        return f"{name}: the {split} images hold infinite values"
    return f"{name}: the {split} images hold NaN or infinite values; --missing allow takes NaN as missing pixels"


def _remembered(known_as: str | None, shape: tuple[int, ...]) -> tuple[float, float, Tensor, int] | None:
    """What an earlier look found; None if there was none, or its record is damaged."""
    found = recall("look", known_as)
    try:
        if found is None:
            return None
        mean = np.frombuffer(base64.b64decode(found["mean"]), np.float32).reshape(shape)
        missing = int(found.get("missing", 0))
        return float(found["low"]), float(found["high"]), torch.from_numpy(mean.copy()), missing
    except (KeyError, TypeError, ValueError):
        return None
