"""What all commands share: one clear line and exit code 2 where the user can mend it."""

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from pyro_vae.distributed import started
from pyro_vae.errors import InputError, plain_interrupts
from pyro_vae.interrupts import guard
from pyro_vae.terminal import printable


def run_command(main: Callable[[list[str]], None], argv: Sequence[str] | None = None) -> NoReturn:
    """Run a command, and exit: 0 done, 2 the input is at fault, 130 interrupted.

    Args:
        main: the command.
        argv: the words after its name; by default those of the process.
    """
    try:
        with guard, plain_interrupts():
            main(list(sys.argv[1:] if argv is None else argv))
    except InputError as error:
        sys.exit(_fail(str(error)))
    except KeyboardInterrupt:
        if started().main:
            print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read the output has gone, as `... | head` does.
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(_fail(f"{where}{error.strerror or error}"))
    sys.exit(0)


def _fail(message: str) -> int:
    if started().main:  # what is wrong in one process of a run is known to all of them
        print(f"error: {printable(message)}", file=sys.stderr)
    return 2
