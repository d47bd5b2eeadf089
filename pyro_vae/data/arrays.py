"""Images in a ``.npy`` or ``.npz`` file, with the file's labels and splits."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np

from pyro_vae.data.images import Images
from pyro_vae.data.labels import numbered
from pyro_vae.data.layout import as_images
from pyro_vae.errors import InputError


class ArrayFile(NamedTuple):
    """The content of a file: all its images together, or its own splits (validation may be None)."""

    images: Images | None = None
    splits: tuple[Images, Images | None, Images] | None = None


def read_arrays(path: Path, layout: str) -> ArrayFile:
    """The images of a file; a ``.npy`` file stays on the disk.

    Raises:
        InputError: if the file is damaged, or its arrays are not images and labels.
    """
    try:
        loaded: Any = np.load(path, mmap_mode="r" if path.suffix == ".npy" else None, allow_pickle=False)
        if path.suffix == ".npy":
            return ArrayFile(as_images(loaded, layout, str(path)))
        arrays = {name: loaded[name] for name in loaded.files}
    except InputError:
        raise
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise InputError(f"{path} cannot be read as an array: {error}") from error
    if "x_train" not in arrays or "x_test" not in arrays:
        x, y = (
            next((arrays[key] for key in keys if key in arrays), None)
            for keys in (("x", "images", "data", "arr_0"), ("y", "labels", "targets"))
        )
        if x is None:
            raise InputError(f"{path} holds {', '.join(arrays) or 'nothing'}; the images must be called x or images")
        return ArrayFile(_labelled([x], [y], layout, str(path))[0])
    parts = [part for part in ("train", "validation", "test") if f"x_{part}" in arrays]
    xs, ys = [arrays[f"x_{part}"] for part in parts], [arrays.get(f"y_{part}") for part in parts]
    train, *validation, test = _labelled(xs, ys, layout, str(path))
    if len({(part.image_shape, part.pixels.dtype) for part in (train, *validation, test)}) > 1:
        raise InputError(f"{path}: its splits hold images of different shapes or types")
    return ArrayFile(splits=(train, validation[0] if validation else None, test))


def _labelled(xs: list[np.ndarray], ys: list[np.ndarray | None], layout: str, name: str) -> list[Images]:
    """Arrays of images with their labels."""
    parts = [as_images(x, layout, name) for x in xs]
    given = [(i, y) for i, y in enumerate(ys) if y is not None]
    for i, y in given:
        if y.shape != (len(parts[i]),):
            raise InputError(
                f"{name} holds labels of shape {y.shape} for {len(parts[i])} images; needed is one for each"
            )
    labels, classes = numbered([y for _, y in given], name)
    for (i, _), numbers in zip(given, labels, strict=True):
        parts[i] = replace(parts[i], labels=numbers, classes=classes)
    return parts
