"""One writer at a time: locks that the system releases when their process ends, however it ends."""

import errno
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pyro_vae.errors import InputError

# What a file system without locks answers; filelock itself has another way where the answer is ENOSYS.
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP}


@contextmanager
def only(path: Path, refusal: str, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock of this file, whose folder exists; the file is gone afterwards.

    A killed process may leave the file, and never the lock. On a network file system it holds between machines where
    the file system locks files at all; where it does not, a warning says so, and nothing is held.

    Args:
        refusal: what is said where another process, or another thread, holds it.
        patience: seconds to wait for it.

    Raises:
        InputError: if it is held by another, or cannot be made.
    """
    # A lock is held by one object: a thread of the same process is kept out by it as another process is.
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
        # While it is held: one who waits for a file that is gone, or gets its lock, opens the next.
        with suppress(OSError):
            path.unlink()
        lock.release()
