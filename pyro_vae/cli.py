"""Shared by all commands: one clear line and exit code 2 for an error that the user can fix.

Exit codes: 0 done (also if the reader of the output closed it), 1 a bug, with its traceback, 2 wrong input,
3 ``compare`` is done but some of its runs failed, 130 interrupted.
"""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

from pyro_vae import limits
from pyro_vae.distributed import started
from pyro_vae.errors import InputError, Stopped, plain_interrupts
from pyro_vae.interrupts import guard
from pyro_vae.terminal import printable


def run_command(main: Callable[[list[str]], int | None], argv: Sequence[str] | None = None) -> NoReturn:
    """Run a command, and exit with its code, or that of its error; the module's docstring lists the codes.

    Args:
        main: the command; it may return an exit code.
        argv: the words after its name; by default those of the process.
    """
    _write_any_letter()
    try:
        with guard, plain_interrupts():
            try:
                code = main(list(sys.argv[1:] if argv is None else argv)) or 0
            finally:
                sys.stdout.flush()  # while an error of it can still be told
    except InputError as error:
        code = _fail(str(error), error)
    except Stopped:
        code = 130
    except KeyboardInterrupt:
        if _speaks():
            print("interrupted", file=sys.stderr)
        code = 130
    except BrokenPipeError:  # the reader of the output has closed it, as in `... | head`
        code = 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        code = _fail(f"{where}{error.strerror or error}", error)
    except (MemoryError, RuntimeError, ValueError, TypeError, OverflowError) as error:
        line = limits.in_one_line(error)
        if line is None:
            raise
        code = _fail(line, error)
    _close_output()
    _forget_interrupts()
    sys.exit(code)


def _fail(message: str, error: BaseException) -> int:
    if _speaks():  # all processes of a run know an error of one
        if limits.traceback_wanted():
            traceback.print_exception(error)
        print(f"error: {printable(message)}", file=sys.stderr)
    return 2


def _speaks() -> bool:
    try:
        return started().main
    except InputError:  # the environment says nonsense about other processes
        return True


def _write_any_letter() -> None:
    """A letter that the locale's encoding lacks is written escaped; it is no error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _forget_interrupts() -> None:
    """Keep the exit code of an interrupt that is handled.

    CPython notes each KeyboardInterrupt that leaves an ``exec`` of a string, a library's own too, and ends the process
    by SIGINT for it, whatever its code. The next ``exec`` of a string clears the note.
    """
    exec("")


def _close_output() -> None:
    """Python writes what is left in the output when it ends; without a reader that would be an error message."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
