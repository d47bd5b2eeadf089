"""Output to the terminal: names that others chose, such as those of files, cannot control it."""

import re
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

#: control characters, changes of writing direction, line separators, and the surrogates that stand for bytes of a name
#: that are not text
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str, keep: str = "") -> str:
    r"""A text with every character that could control a terminal written out, except those in ``keep``.

    >>> printable("a\x1b[31m\n")
    'a\\x1b[31m\\n'
    """
    return _STEERING.sub(lambda found: found[0] if found[0] in keep else ascii(found[0])[1:-1], text)


def on_stderr(line: str) -> None:
    """Say a line that is no result."""
    print(printable(line), file=sys.stderr)


class PlainConsole(Console):
    """A console whose texts cannot control the terminal; rich's own colours can."""

    def render_str(self, text: str, *args: Any, **kwargs: Any) -> Text:
        return super().render_str(printable(text, keep="\n"), *args, **kwargs)

    def on_broken_pipe(self) -> None:
        """Nobody reads the output any more: rich would end the process here, with exit code 1 and without a word."""
        raise BrokenPipeError
