"""The error that the user can fix, and Ctrl-C."""

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

from pyro_vae.interrupts import guard


def nearest_names(name: str, known: Iterable[str]) -> list[str]:
    """The known names most like this one, the most alike first; at most three."""
    return get_close_matches(name, list(known), n=3, cutoff=0.4)


class InputError(ValueError):
    """The request cannot be done; the message says why in one line, and a command ends with exit code 2."""


class Stopped(KeyboardInterrupt):
    """A Ctrl-C of which all has been said."""

    def __init__(self, line: str = "") -> None:
        """Say it: what is kept, and how to go on."""
        super().__init__(line)
        if line:
            print(("\n" if sys.stderr.isatty() else "") + line, file=sys.stderr)  # the terminal shows ^C in its line


_IN_PYTHON = (
    (r"--resume ([^\s,;]+)", r'pyro_vae.resume("\1")'),
    (
        r"--likelihood Gaussian --likelihood\.squash false",
        'likelihood={"class_path": "Gaussian", "init_args": {"squash": False}}',
    ),
    (r"add --trust \(trust=True in Python\)", "pass trust=True"),
    (r"add --trust\b|--trust\b", "trust=True"),
    (r"--device (cpu|cuda)\b", r'device="\1"'),
    (r"--clip-norm 1\b", "clip_norm=1"),
    (r"--validation 0\b", "validation=0"),
)


def in_python(message: str) -> str:
    """An error's words for the caller of a function: arguments instead of the command's options.

    >>> in_python("a already holds a run: resume it by --resume a, or choose another --out")
    'a already holds a run: resume it by pyro_vae.resume("a"), or choose another out'
    """
    for pattern, words in _IN_PYTHON:
        message = re.sub(pattern, words, message)
    return re.sub(r"(?<![\w-])--([a-zA-Z][\w.-]*)", lambda option: option[1].replace("-", "_"), message)


@contextmanager
def speaking_python(words: Callable[[str], str] = in_python) -> Iterator[None]:
    """In this context an InputError says what to do in Python."""
    try:
        yield
    except InputError as error:
        error.args = (words(str(error)),)
        raise


@contextmanager
def plain_interrupts() -> Iterator[None]:
    """A Ctrl-C is a KeyboardInterrupt, also where a library raises another error in its place or after it.

    Python 3.11 turns an error in a ``__set_name__`` into a RuntimeError, an extension that imports NumPy turns it into
    an ImportError, which may become an :class:`InputError` of ours. An InputError of another cause and an error of the
    system have words of their own and stay.
    """
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        own_words = isinstance(error, InputError) and not isinstance(error.__cause__, ImportError | RuntimeError)
        if not own_words and (guard.interrupted or isinstance(error.__cause__, KeyboardInterrupt)):
            raise KeyboardInterrupt from error
        raise
