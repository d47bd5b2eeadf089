"""Shared by all commands: one clear line and exit code 2 for an error that the user can fix."""

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from pyro_vae.distributed import started
from pyro_vae.errors import InputError, Stopped, plain_interrupts
from pyro_vae.interrupts import guard
from pyro_vae.terminal import printable


def run_command(main: Callable[[list[str]], None], argv: Sequence[str] | None = None) -> NoReturn:
    """Run a command, and exit: 0 done, 2 wrong input, 130 interrupted.

    Args:
        main: the command.
        argv: the words after its name; by default those of the process.
    """
    try:
        with guard, plain_interrupts():
            main(list(sys.argv[1:] if argv is None else argv))
    except InputError as error:
        sys.exit(_fail(str(error)))
    except Stopped:
        sys.exit(130)
    except KeyboardInterrupt:
        if started().main:
            print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of the output has closed it, as in `... | head`.
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(_fail(f"{where}{error.strerror or error}"))
    sys.exit(0)


def _fail(message: str) -> int:
    if started().main:  # all processes of a run know an error of one
        print(f"error: {printable(message)}", file=sys.stderr)
    return 2
