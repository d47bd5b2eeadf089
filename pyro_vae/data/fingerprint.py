"""The identity of a data set: a run is resumed and evaluated only on the images that it was trained on."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from pyro_vae.data.images import DataSet, Images, rows_at_once
from pyro_vae.data.remembered import recall, remember
from pyro_vae.errors import InputError

Fingerprint = dict[str, Any]  # digest; for a file, also its size in bytes and mtime_ns


def fingerprint(data: DataSet, known: Fingerprint | None = None) -> Fingerprint:
    """The digest of the images and labels of all splits, and the size and time of their file.

    Args:
        data: from :func:`~pyro_vae.data.load_data`, not yet on a device.
        known: an earlier fingerprint; a file of the same size and time is not read again. Nor is
            one whose digest the user's cache remembers.
    """
    path = Path(data.name)
    marks: Fingerprint = {}
    if path.suffix in (".npy", ".npz", ".csv") and path.is_file():
        found = path.stat()
        marks = {"size": found.st_size, "mtime_ns": found.st_mtime_ns}
        if known is not None and marks == {name: known.get(name) for name in marks}:
            return known
    kept = recall("digest", data.known_as)
    if kept is None:
        kept = {"digest": _digest(data)}
        remember("digest", data.known_as, kept)
    return {"digest": str(kept.get("digest")), **marks}


def check_same(data: DataSet, known: Fingerprint | None, run: Path) -> Fingerprint:
    """The fingerprint of the data, if it equals the run's; ``known`` is None for runs that kept none.

    Raises:
        InputError: if the data differ.
    """
    found = fingerprint(data, known)
    if known is not None and found["digest"] != known["digest"]:
        raise InputError(
            f"{data.name} has changed since {run} was trained on it: restore those images and labels, or train anew"
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
    if images.names is not None:
        found.update(repr(images.names).encode())
    if images.labels is not None:
        found.update(images.labels.numpy(force=True).tobytes())
