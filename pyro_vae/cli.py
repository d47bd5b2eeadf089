"""What all commands share: one clear line and exit code 2 where the user can mend it."""

import sys
from collections.abc import Callable
from typing import NoReturn

from pyro_vae.distributed import started
from pyro_vae.errors import InputError, plain_interrupts
from pyro_vae.terminal import printable


def run_command(main: Callable[[list[str]], None]) -> NoReturn:
    """Run a command on the words after its name, and exit: 0 done, 2 the input is at fault, 130 interrupted."""
    try:
        with plain_interrupts():
            main(sys.argv[1:])
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
