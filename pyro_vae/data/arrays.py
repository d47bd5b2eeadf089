"""Images in a ``.npy`` or ``.npz`` file, with the file's labels and splits."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil

from pyro_vae.data.images import Images
from pyro_vae.data.labels import numbered
from pyro_vae.data.layout import as_images
from pyro_vae.errors import InputError

_IMAGES, _LABELS = ("x", "images", "data", "arr_0"), ("y", "labels", "targets")
_COLUMNS = "names"  #: of the columns of a table
_SPLITS = ("train", "validation", "test")
_NAMES = (*_IMAGES, *_LABELS, _COLUMNS)


class ArrayFile(NamedTuple):
    """The content of a file: all its images together, or its own splits (validation may be None)."""

    images: Images | None = None
    splits: tuple[Images, Images | None, Images] | None = None


def read_arrays(path: Path, layout: str) -> ArrayFile:
    """The images of a file; a ``.npy`` file stays on the disk.

    Raises:
        InputError: if the file is damaged, or its arrays are not images and labels.
    """
    if path.suffix == ".npy":
        with _damage(path):
            loaded: Any = np.load(path, mmap_mode="r", allow_pickle=False)
            if not isinstance(loaded, np.ndarray):
                raise ValueError("it is no array but a zip file, whose name must end in .npz")
        return ArrayFile(as_images(loaded, layout, str(path)))
    with _damage(path), open(path, "rb") as file:
        archive = np.load(file, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("it is no zip file of arrays, and its name must end in .npy if it is one array")
        arrays = {name: archive[name] for name in _wanted(archive, path)}
        if strange := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
            raise ValueError(f"its member {strange[0]!r} is no array")
    return of_arrays(arrays, layout, str(path))


def of_arrays(arrays: Mapping[str, np.ndarray], layout: str, name: str) -> ArrayFile:
    """The images of arrays that are called as in a ``.npz`` file.

    Args:
        name: of the arrays in an error.

    Raises:
        InputError: if they are not images and labels.
    """
    names = [str(one) for one in arrays[_COLUMNS].tolist()] if _COLUMNS in arrays else None
    if "x_train" not in arrays or "x_test" not in arrays:
        x, y = (next((arrays[key] for key in keys if key in arrays), None) for keys in (_IMAGES, _LABELS))
        if x is None:
            held = ", ".join(arrays)[:200] or "nothing"
            raise InputError(f"{name} holds {held}; the images must be called x or images")
        return ArrayFile(_labelled([x], [y], layout, name, names)[0])
    parts = [part for part in _SPLITS if f"x_{part}" in arrays]
    unused = [key for key in arrays if key[:2] in ("x_", "y_") and key[2:] not in parts]
    if unused:
        raise InputError(f"{name} holds {unused[0]}: splits are called {', '.join(_SPLITS)}, as in x_train and y_train")
    xs, ys = [arrays[f"x_{part}"] for part in parts], [arrays.get(f"y_{part}") for part in parts]
    train, *validation, test = _labelled(xs, ys, layout, name, names)
    if len({(part.image_shape, part.pixels.dtype) for part in (train, *validation, test)}) > 1:
        raise InputError(f"{name}: its splits hold images of different shapes or types")
    return ArrayFile(splits=(train, validation[0] if validation else None, test))


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """In this context any error is the file's: a damaged one makes NumPy and zipfile raise almost every kind."""
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"{path} says that it holds more than fits into memory") from error
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path} cannot be read as an array: {said}") from error


def _wanted(archive: np.lib.npyio.NpzFile, path: Path) -> list[str]:
    """The names of the arrays that can be images or labels; what else the file holds is not looked at.

    Raises:
        InputError: if they do not fit into memory: a small file can unpack to any size.
    """
    names = [name for name in dict.fromkeys(archive.files) if name.partition("_")[0] in ("x", "y") or name in _NAMES]
    assert archive.zip is not None
    sizes = {member.filename.removesuffix(".npy"): member.file_size for member in archive.zip.infolist()}
    needed, free = sum(sizes.get(name, 0) for name in names), psutil.virtual_memory().available
    if needed > free:
        raise InputError(
            f"{path} unpacks to {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB of memory are free: save its images as"
            " a .npy file, which stays on the disk"
        )
    return names or list(archive.files)


def _labelled(
    xs: list[np.ndarray], ys: list[np.ndarray | None], layout: str, name: str, names: list[str] | None
) -> list[Images]:
    """Arrays of images with their labels, or of rows of a table, whose columns have these names."""
    parts = [as_images(x, layout, name, names) for x in xs]
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
