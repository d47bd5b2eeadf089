"""What was found by looking through all the images of a file or a folder, remembered in the user's cache.

A look through 20 GB takes minutes, and every command needs it: that no pixel is NaN, the range of the pixels, the mean
image, the digest. It is remembered under the identity of the file: its path, size and time, as for the fingerprint of
a run's data. The arrays that pictures were decoded to are remembered too, as a file that is mapped into memory.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pyro_vae.user_cache import cache_folder, read_own, write_own

SMALLEST = 2**24  #: bytes of a file, or of several, that are worth it
MANY = 1000  #: pictures that are worth it
#: a file that is younger may be written again within one tick of its file system's clock
SECONDS_OF_DOUBT = 2.0


def identity(path: Path, about: Iterable[object]) -> str | None:
    """The key of a file's images; None if the file is small, or so young that its time identifies nothing.

    Args:
        about: what else the result depends on.
    """
    try:
        found = path.stat()
    except OSError:
        return None
    if found.st_size < SMALLEST or time.time() - found.st_mtime < SECONDS_OF_DOUBT:
        return None
    return _key(path, [found.st_size, found.st_mtime_ns, *about])


def identity_of_pictures(root: Path, files: Iterable[Path], size: object = None) -> str | None:
    """The key of a folder's pictures; None if they are few, or one is so young that its time identifies nothing.

    Args:
        size: that they are resized to.
    """
    found = _marks(root, files)
    if found is None or found.files < MANY:
        return None
    return _key(root, [found.digest, *([] if size is None else [size])])


def identity_of_files(root: Path, files: Iterable[Path], name: str) -> str | None:
    """The key of a data set that several files hold; None if they are small, or one is so young or not there.

    Args:
        name: of the data set.
    """
    found = _marks(root, files)
    return None if found is None or found.size < SMALLEST else _key(root, [found.digest, name])


class _Marks(NamedTuple):
    """Of several files: a digest of their names, sizes and times, their number, and their bytes in all."""

    digest: str
    files: int
    size: int


def _marks(root: Path, files: Iterable[Path]) -> _Marks | None:
    """None if a file is not there, or so young that its time identifies nothing."""
    marks, count, size, newest = hashlib.sha256(), 0, 0, 0.0
    for file in files:
        try:
            found = file.stat()
        except OSError:
            return None
        name = os.fsencode(file.relative_to(root))
        marks.update(b"%b\0%d %d\0" % (name, found.st_size, found.st_mtime_ns))
        count, size, newest = count + 1, size + found.st_size, max(newest, found.st_mtime)
    return None if time.time() - newest < SECONDS_OF_DOUBT else _Marks(marks.hexdigest(), count, size)


def _key(path: Path, about: Iterable[object]) -> str:
    """The path's part is alone in front, so that what was remembered of its earlier content can be found."""
    return f"{_short(os.path.realpath(path))}-{_short(json.dumps([*about], default=str))}"


def _short(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:24]


def recall(kind: str, key: str | None) -> dict[str, Any] | None:
    """What was remembered; None if nothing was, or it is damaged."""
    if key is None:
        return None
    try:
        found = json.loads(read_own(_folder() / f"{key}.{kind}.json", 2**26) or b"null")
    except (RuntimeError, ValueError):  # no home, or damaged
        return None
    return found if isinstance(found, dict) else None


def remember(kind: str, key: str | None, found: dict[str, Any]) -> None:
    """Remember a table of plain values."""
    if key is not None:
        content = json.dumps(found).encode()
        with suppress(RuntimeError):  # no home
            write_own(_folder() / f"{key}.{kind}.json", lambda file: file.write(content))


def recall_array(key: str | None) -> np.ndarray | None:
    """The array that was remembered, mapped into memory; None if there is none."""
    if key is None:
        return None
    try:
        path = _folder() / f"{key}.pixels.npy"
        if read_own(path, 1) is None:
            return None
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, RuntimeError, ValueError):
        return None


def remember_array(key: str | None, array: np.ndarray) -> None:
    """Remember an array in place of the folder's earlier one, if the disk has ten times the room for it."""
    if key is None:
        return
    try:
        folder = _folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if shutil.disk_usage(folder).free < 10 * array.nbytes:
            return
        if write_own(folder / f"{key}.pixels.npy", lambda file: np.save(file, array)):
            for path in folder.glob(f"{key.partition('-')[0]}-*.pixels.npy"):
                if not path.name.startswith(f"{key}."):
                    path.unlink(missing_ok=True)
    except (OSError, RuntimeError):
        return


def _folder() -> Path:
    return cache_folder() / "looks"
