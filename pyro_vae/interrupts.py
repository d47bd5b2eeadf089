"""How a command starts and ends: Ctrl-C prints one line from its first millisecond to its last, and both are quick.

The package imports this module first, so it imports almost nothing itself.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys

TYPE_CHECKING = False  # typing takes some milliseconds
if TYPE_CHECKING:
    from collections.abc import Sequence
    from threading import Timer
    from types import FrameType
    from typing import NoReturn

SECONDS_BEFORE_A_WORD = 3.0


def is_command(argv: Sequence[str], original: Sequence[str]) -> bool:
    """Whether this process is one of the package's commands.

    Args:
        argv: ``sys.argv``, while the package is imported.
        original: ``sys.orig_argv``.

    >>> is_command(["-m", "--help"], ["python", "-u", "-m", "pyro_vae.svi", "--help"])
    True
    >>> is_command(["-m"], ["python", "-m", "pytest"]), is_command(["bin/pyro-vae"], ["python", "bin/pyro-vae"])
    (False, True)
    """
    if list(argv[:1]) == ["-m"]:
        module = original[original.index("-m") + 1] if "-m" in original[:-1] else ""
        return module.partition(".")[0] == "pyro_vae"
    return bool(argv) and os.path.basename(argv[0]).partition(".")[0] == "pyro-vae"


def end_at_once(number: int = signal.SIGINT, frame: FrameType | None = None) -> NoReturn:
    """End this process as a shell expects of an interrupted one; every file that it leaves is whole."""
    show_cursor = b"\x1b[?25h" if os.isatty(2) else b""  # a progress bar hides it
    if os.environ.get("RANK", "0") == "0":  # torchrun's number of the process
        os.write(2, show_cursor + b"interrupted\n")
    os._exit(130)


class Guard:
    """Until the command's own work begins, Ctrl-C ends at once; a line is printed if the imports take long.

    Python's own KeyboardInterrupt would end in the middle of a library's import, with a traceback. Garbage is not
    looked for meanwhile, nor when the process ends: imports leave hardly any, and the search takes an eighth of their
    time; at the end it takes half a second, and the system takes all memory back anyway.
    """

    def __init__(self) -> None:
        self.waiting: Timer | None = None
        self.paused = False  # no garbage is looked for
        self.interrupted = False  # a KeyboardInterrupt was raised, whatever a library has made of it

    def begin(self) -> None:
        """Guard the imports. Only the main thread can."""
        try:
            _replace(signal.default_int_handler, end_at_once)
        except ValueError:  # not the main thread
            return
        if "--multiprocessing-fork" in sys.orig_argv or "-c" in sys.orig_argv[1:2]:
            return  # a process that a command has started
        if gc.isenabled():
            gc.disable()
            self.paused = True
        atexit.register(gc.freeze)
        if sys.stderr is not None and sys.stderr.isatty():
            from threading import Timer

            self.waiting = Timer(SECONDS_BEFORE_A_WORD, os.write, (2, b"importing PyTorch and Pyro ...\n"))
            self.waiting.daemon = True
            self.waiting.start()

    def __enter__(self) -> None:
        """From here the first Ctrl-C is a KeyboardInterrupt; each later one ends the process at once."""
        if self.waiting is not None:
            self.waiting.cancel()
        if self.paused:
            gc.freeze()  # what is imported stays
            gc.enable()
            self.paused = False
        _replace(end_at_once, _raise_once)

    def __exit__(self, *exception: object) -> None:
        _replace(_raise_once, end_at_once)

    def check(self) -> None:
        """Raise the KeyboardInterrupt that a library has swallowed, as an extension does that asks for an attribute."""
        if self.interrupted:
            raise KeyboardInterrupt


def _raise_once(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGINT, end_at_once)
    guard.interrupted = True
    raise KeyboardInterrupt


def _replace(old: object, new: object) -> None:
    """Another answer to Ctrl-C, but where someone else has given theirs: nohup, a test, a notebook."""
    if signal.getsignal(signal.SIGINT) is old:
        signal.signal(signal.SIGINT, new)  # type: ignore[arg-type]


#: of this process
guard = Guard()
if is_command(sys.argv, sys.orig_argv):
    guard.begin()
