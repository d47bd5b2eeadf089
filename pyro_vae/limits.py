"""What the machine cannot hold, in one line: memory, whole numbers of 64 bits, the depth of recursion.

The rule that divides a request from a bug: an error that these limits raise is a request that is too large, so it is
one line and exit code 2, with the line of code where it was met. Every other error that is no :class:`InputError` is a
bug, of this project or of the user's own class, and its traceback is shown. With ``PYRO_VAE_TRACEBACK=1`` in the
environment the traceback of every error is shown.
"""

import os
import re
import traceback
from pathlib import Path

#: what allocators of torch, NumPy and CUDA say, which raise RuntimeError or ValueError
_MEMORY = re.compile(
    r"can't allocate memory|not enough memory|out of memory|Unable to allocate|std::bad_alloc|bad allocation"
    r"|CUBLAS_STATUS_ALLOC_FAILED",
    re.IGNORECASE,
)
_SIZE = re.compile(
    r"Storage size calculation overflowed|Overflow when unpacking|integer multiplication overflow|too large to convert"
    r"|array is too big|Maximum allowed (dimension|size) exceeded|maximum supported dimension"
    r"|value cannot be converted to type \S+ without overflow|is too large for",
    re.IGNORECASE,
)
LESS = "ask for less, such as a smaller --latent-dim, --batch-size or number of samples"


def in_one_line(error: BaseException) -> str | None:
    """The line for an error that means "too large for this machine"; None for every other error.

    >>> in_one_line(MemoryError())
    'out of memory: ask for less, such as a smaller --latent-dim, --batch-size or number of samples'
    >>> in_one_line(KeyError("optimizer")) is None
    True
    """
    said = " ".join(str(error).split())
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError | ValueError) and _MEMORY.search(said)):
        return f"out of memory: {LESS}{_place(error)}"
    if isinstance(error, RecursionError):
        return f"nested too deep, or an endless recursion{_place(error)}"
    if isinstance(error, OverflowError) or (
        isinstance(error, RuntimeError | ValueError | TypeError) and _SIZE.search(said)
    ):
        return f"a number is too large for this machine: {LESS}{_place(error)}"
    return None


def traceback_wanted() -> bool:
    """Whether the environment asks for the traceback of every error."""
    return os.environ.get("PYRO_VAE_TRACEBACK", "0") not in ("", "0")


def _place(error: BaseException) -> str:
    """The deepest line of this project that the error went through."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__, limit=-200) if "pyro_vae" in frame.filename]
    where = next((frame for frame in reversed(own) if Path(frame.filename).name != "limits.py"), None)
    if where is None:
        return ""
    return f" (in {Path(where.filename).name}, line {where.lineno}; PYRO_VAE_TRACEBACK=1 shows the traceback)"
