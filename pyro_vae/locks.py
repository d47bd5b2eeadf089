"""One writer at a time: the system releases these locks however their process ends."""

import errno
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pyro_vae.errors import InputError

# The error of a file system without locks; for ENOSYS filelock itself has another way.
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP}


@contextmanager
def only(path: Path, refusal: str, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock of this file, whose folder exists; the file is gone afterwards.

    A killed process may leave the file, but never the lock. On a network file system the lock holds between machines if
    the file system has locks; if not, a warning says so, and nothing is locked.

    Args:
        refusal: the error if another process, or another thread, holds it.
        patience: seconds to wait for it.

    Raises:
        InputError: if it is held by another, or cannot be made.
    """
    # One object holds the lock: it keeps out threads of this process as well as other processes.
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=patience, poll_interval=0.02)
    except Timeout:
        raise InputError(refusal) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise InputError(f"{path} cannot be locked: {error.strerror}") from error
        warnings.warn(f"the file system of {path} has no locks: see to it that one process at a time writes there")
        yield
        return
    try:
        yield
    finally:
        # Remove it while holding it: a waiter whose file is gone opens the next one.
        with suppress(OSError):
            path.unlink()
        lock.release()
