"""A picture that cannot be drawn or written is a warning, never the end of a run or of an evaluation."""

from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Self
from warnings import warn


class Drawing(ContextDecorator):
    """In this context, or function, an error is one line for the user, said once, and the work goes on.

    Args:
        say: takes the line; by default it is a warning of Python.
    """

    def __init__(self, say: Callable[[str], None] = warn):
        self.say = say
        self.said: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False  # no error, or an interrupt
        if isinstance(error, BrokenPipeError):
            return False
        words = " ".join(str(error).split())[:300]
        line = f"note: a picture is missing, which changes nothing else: {type(error).__name__}: {words}".rstrip(": ")
        if line not in self.said:
            self.said.add(line)
            self.say(line)
        return True
