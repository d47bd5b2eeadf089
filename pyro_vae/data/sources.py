"""From a name or a path to a data set."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pyro_vae.data.arrays import ArrayFile, of_arrays, read_arrays
from pyro_vae.data.folder import read_folder
from pyro_vae.data.image_size import Size
from pyro_vae.data.images import DataSet, Images
from pyro_vae.data.layout import Layout
from pyro_vae.data.looking import described
from pyro_vae.data.memory import MEMORY, arrays_of
from pyro_vae.data.remembered import identity, identity_of_files
from pyro_vae.data.rows import read_csv
from pyro_vae.data.sets import data_sets
from pyro_vae.data.splits import Splits, split
from pyro_vae.defaults import torch_defaults
from pyro_vae.errors import InputError, nearest_names
from pyro_vae.user_cache import cache_folder


def root_of_data(given: Path | str | None) -> Path:
    """The folder of downloads: the one that is given, or PYRO_VAE_DATA, or a folder in the user's cache."""
    if given is not None:
        return Path(given)
    if "PYRO_VAE_DATA" in os.environ:
        return Path(os.environ["PYRO_VAE_DATA"])
    return cache_folder()


@torch_defaults()
def load_data(
    name: str,
    root: Path | str | None = None,
    validation: int | None = None,
    layout: Layout = "auto",
    say: Callable[[str], None] | None = None,
    given: Any = None,
    image_size: Size | None = None,
    missing: bool = False,
) -> DataSet:
    """The data set of this name, or the one in this file or folder, or the one in memory.

    Args:
        name: of :func:`~pyro_vae.data.sets.data_sets`, or the path of a ``.npy``, ``.npz`` or ``.csv`` file or of
            a folder of pictures.
        root: the folder of downloaded files; by default PYRO_VAE_DATA or the user's cache.
        validation: the number of validation images that stay out of training. None keeps all out; 0 trains on all of
            them, as some published protocols do (they are then no longer unseen).
        layout: of an array file with four axes: N x C x H x W is channels_first, N x H x W x C channels_last; auto
            reads it from the shape.
        say: takes a line about reading that takes long; None says nothing.
        given: data in memory (:mod:`pyro_vae.data.memory`), which stand for those of this name.
        image_size: height and width that the pictures of a folder are resized to.
        missing: whether NaN in images is a missing pixel; in a table it always is a missing value.

    Raises:
        InputError: if there is no such data, or they were in memory and are not given, the download fails, or its
            images are not fit to train on.
    """
    root = root_of_data(root)
    array = is_array_file(name)
    if name == MEMORY and given is None:
        raise InputError("these data were in memory: give them again from Python, by data=")
    if layout != "auto" and not array and given is None:
        raise InputError(f"--layout says which axis of an array file holds the channels, and {name} is no such file")
    _check_size(name, image_size)
    known, key = data_sets(), None
    if given is not None:
        train, held_out, test = _array_splits(of_arrays(arrays_of(given), layout, name), name)
        likelihood = _suits(train)
    elif name in known:
        (train, held_out, test), likelihood = known[name].read(root), known[name].likelihood
        key = identity_of_files(root, known[name].files(root), name)
    elif Path(name).is_dir():
        images, key = read_folder(Path(name), say, image_size)
        train, held_out, test = split(images, name)
        likelihood = _suits(train)
    elif array:
        train, held_out, test = _array_splits(read_arrays(Path(name), layout), name)
        key = identity(Path(name), [layout])
        likelihood = _suits(train)
    elif is_table_file(name):
        train, held_out, test = _array_splits(_of_csv(name), name)
        likelihood = _suits(train)
    else:
        raise _no_such(name)
    if validation is not None:
        if not 0 <= validation <= len(held_out):
            raise InputError(f"{name} has {len(held_out)} validation images, so --validation cannot be {validation}")
        train, held_out = _give(train, held_out, validation)
    key = None if key is None else f"{key}-{validation}"
    return described(name, (train, held_out, test), likelihood, key, say, missing)


@torch_defaults()
def read_rows(
    name: str,
    root: Path | str | None = None,
    layout: Layout = "auto",
    say: Callable[[str], None] | None = None,
    image_size: Size | None = None,
    columns: Sequence[str] = (),
) -> Images:
    """All images of a file or a folder, in their order; the test images of data that have splits of their own.

    Args:
        name, root, layout, say, image_size: as for :func:`load_data`.
        columns: of a ``.csv`` file, which are no labels whatever their names: those that a run was trained on.

    Raises:
        InputError: where there are no such data, or the download fails.
    """
    array = is_array_file(name)
    if layout != "auto" and not array:
        raise InputError(f"--layout says which axis of an array file holds the channels, and {name} is no such file")
    _check_size(name, image_size)
    if name in data_sets():
        return data_sets()[name].read(root_of_data(root))[2]
    if Path(name).is_dir():
        return read_folder(Path(name), say, image_size)[0]
    if not array and not is_table_file(name):
        raise _no_such(name)
    images, splits = read_arrays(Path(name), layout) if array else _of_csv(name, columns)
    if splits is not None:
        return splits[2]
    assert images is not None
    return images


def _check_size(name: str, size: Size | None) -> None:
    if size is not None and (name in data_sets() or not Path(name).is_dir()):
        raise InputError(f"--image-size resizes the pictures of a folder, and {name} is none")


def _no_such(name: str) -> InputError:
    if name == MEMORY:
        return InputError("these data were in memory: give them again from Python, by data=")
    known = data_sets()
    near = nearest_names(name, known) or list(known)
    return InputError(
        f"no data set {name!r}: nearest are {', '.join(near)}; or name a .npy, .npz or .csv file or a folder"
    )


def is_array_file(name: str) -> bool:
    """Whether a data set's name is the path of a ``.npy`` or ``.npz`` file."""
    return name not in data_sets() and Path(name).suffix in (".npy", ".npz") and not Path(name).is_dir()


def is_table_file(name: str) -> bool:
    """Whether a data set's name is the path of a ``.csv`` file that there is."""
    return name not in data_sets() and Path(name).suffix == ".csv" and Path(name).is_file()


def _of_csv(name: str, columns: Sequence[str] = ()) -> ArrayFile:
    return of_arrays(arrays_of(read_csv(Path(name)), columns, name), "auto", name)


def _give(train: Images, held_out: Images, keep: int) -> tuple[Images, Images]:
    """Both splits after the first images of ``held_out`` move to training."""
    given = held_out.take(np.arange(len(held_out) - keep))
    kept = held_out.take(np.arange(len(held_out) - keep, len(held_out))) if keep else held_out
    labels = None if train.labels is None or given.labels is None else torch.cat([train.labels, given.labels])
    if train.pixels is given.pixels:
        rows = np.concatenate([s.rows if s.rows is not None else np.arange(len(s)) for s in (train, given)])
        return replace(train, labels=labels, rows=rows), kept
    pixels = np.concatenate([s.pixels if s.rows is None else s.pixels[s.rows] for s in (train, given)])
    return replace(train, pixels=pixels, labels=labels, rows=None), kept


def _array_splits(found: ArrayFile, name: str) -> Splits:
    """The arrays' own splits if they have Keras' names (x_train, y_train, x_test, ...); otherwise they are made."""
    images, splits = found
    if splits is None:
        assert images is not None
        return split(images, name)
    train, validation, test = splits
    if validation is None:
        rows = np.arange(len(train))
        held_out = max(1, len(train) // 10)
        train, validation = train.take(rows[:-held_out]), train.take(rows[-held_out:])
    return train, validation, test


def _suits(images: Images) -> str:
    """The likelihood of images, or of a table, that no declaration describes."""
    if images.names is not None:
        return "Columns"
    return "Bernoulli" if images.pixels.dtype == bool else "Gaussian"
