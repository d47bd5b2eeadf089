"""The error that is the user's to mend, and the user's own wish to stop."""

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """What was asked for cannot be done; the message says why in one line, and a command ends with exit code 2."""


@contextmanager
def plain_interrupts() -> Iterator[None]:
    """A Ctrl-C is a KeyboardInterrupt, wherever it comes.

    While a class is made, as in a library's import, Python 3.11 turns whatever is raised in a ``__set_name__`` into a
    RuntimeError.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise error.__cause__ from None
        raise
