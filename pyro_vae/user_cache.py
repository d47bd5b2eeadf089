"""Where this user's files are kept that can be made again: downloads, records, compiled code."""

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def cache_folder() -> Path:
    """This user's cache folder, under XDG_CACHE_HOME if that is absolute."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".cache") / "pyro_vae"


def read_own(path: Path, most: int) -> bytes | None:
    """The first ``most`` bytes of a file in the cache; None without one, or if somebody else could have written it."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with open(handle, "rb") as opened:
            about = os.fstat(opened.fileno())
            if hasattr(os, "getuid") and (about.st_uid != os.getuid() or about.st_mode & stat.S_IWOTH):
                return None
            return opened.read(most)
    except (OSError, RuntimeError, ValueError):  # none, or no home
        return None


def write_own(path: Path, write: Callable[[BinaryIO], object]) -> bool:
    """Write a file of the cache whole, under a folder that only this user reads; False if that is not possible.

    Args:
        write: takes the open file.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".partial")
    except (OSError, RuntimeError):  # no writable home
        return False
    try:
        with open(handle, "wb") as file:
            write(file)
        os.replace(partial, path)
    except BaseException as error:
        os.unlink(partial)
        if isinstance(error, OSError):
            return False
        raise
    return True
