"""What a data set is known by, so that a run goes on, and is measured, on the very images that it was trained on."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from pyro_vae.data.images import DataSet, Images, rows_at_once
from pyro_vae.errors import InputError

Fingerprint = dict[str, Any]  # digest; of a file, its size in bytes and mtime_ns as well


def fingerprint(data: DataSet, known: Fingerprint | None = None) -> Fingerprint:
    """The digest of the images and labels of all splits, and the size and time of the file that they are from.

    Args:
        data: as :func:`~pyro_vae.data.load_data` gives it, on no device yet.
        known: an earlier fingerprint; a file of the same size and time is not read again for its digest.
    """
    path = Path(data.name)
    marks: Fingerprint = {}
    if path.suffix in (".npy", ".npz") and path.is_file():
        found = path.stat()
        marks = {"size": found.st_size, "mtime_ns": found.st_mtime_ns}
        if known is not None and marks == {name: known.get(name) for name in marks}:
            return known
    return {"digest": _digest(data), **marks}


def check_same(data: DataSet, known: Fingerprint | None, run: Path) -> Fingerprint:
    """The fingerprint of data that are those a run was trained on; ``known`` is None in runs that kept none.

    Raises:
        InputError: if the data are others.
    """
    found = fingerprint(data, known)
    if known is not None and found["digest"] != known["digest"]:
        raise InputError(
            f"{data.name} has changed since {run} was trained on it: put the images and labels of then back, or train"
            " anew"
        )
    return found


def _digest(data: DataSet) -> str:
    found = hashlib.sha256()
    for split in (data.train, data.validation, data.test):
        _add(split, found)
    return found.hexdigest()


def _add(images: Images, found: Any) -> None:
    about = (len(images), images.image_shape, str(np.dtype(images.pixels.dtype)), images.divisor)
    found.update(repr(about).encode())
    rows = np.arange(len(images)) if images.rows is None else images.rows
    for part in np.array_split(rows, -(-len(rows) // rows_at_once(images.image_shape))):
        found.update(np.ascontiguousarray(images.pixels[part]).data)
    if images.labels is not None:
        found.update(images.labels.numpy(force=True).tobytes())
