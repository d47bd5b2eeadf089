"""A word while nothing else is said: what is going on, and in a notebook how far it is."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any, Self

SECONDS_OF_SILENCE = 5.0
SECONDS_BETWEEN_UPDATES = 0.5


class Heartbeat:
    """Names the present work after some seconds of silence; each time it waits twice as long, up to a minute.

    Args:
        say: takes a line.
        words: the present work; empty prints nothing.
        silence: seconds.
    """

    def __init__(self, say: Callable[[str], None], words: Callable[[], str], silence: float = SECONDS_OF_SILENCE):
        self.say, self.words, self.silence = say, words, silence
        self.ended = threading.Event()
        self.heard()

    def heard(self) -> None:
        """Something else was said, or something new begins."""
        self.last, self.wait = time.monotonic(), self.silence

    def __enter__(self) -> Self:
        self.heard()
        self.thread = threading.Thread(target=self._beat, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.ended.set()
        self.thread.join()

    def _beat(self) -> None:
        while not self.ended.wait(min(0.5, self.silence / 4)):
            if time.monotonic() - self.last < self.wait:
                continue
            self.last, self.wait = time.monotonic(), min(2 * self.wait, 60.0)
            if words := self.words():
                self.say(words)


@contextmanager
def told(
    say: Callable[[str], None] | None, work: str, silence: float = SECONDS_OF_SILENCE
) -> Iterator[Callable[[float], None]]:
    """In this context a long work tells how far it is; it gives the part of 1 that is done to the function yielded.

    Args:
        say: takes a line; None says nothing.
        work: in words.
        silence: seconds before the first line.
    """
    done = 0.0

    def at(part: float) -> None:
        nonlocal done
        done = part

    if say is None:
        yield at
        return
    with Heartbeat(say, lambda: f"{work}: {done:.0%}", silence):
        yield at


class NotebookLine:
    """A line with a bar below a notebook's cell, which is replaced and not repeated."""

    def __init__(self) -> None:
        self.handle: Any = None
        self.shown = -float("inf")

    @staticmethod
    def possible() -> bool:
        """Whether this process is the kernel of a notebook."""
        shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
        return shell is not None and hasattr(shell, "kernel")

    def show(self, part: float, words: str) -> None:
        """Show the progress, ``part`` of 1, and the present work; at most a few times a second."""
        if time.monotonic() - self.shown < SECONDS_BETWEEN_UPDATES and part < 1:
            return
        from IPython.display import display

        self.shown = time.monotonic()
        html = f'<progress value="{part:.3f}" max="1"></progress> {escape(words)}'
        data = {"text/plain": f"{part:.0%} {words}", "text/html": html}
        if self.handle is None:
            self.handle = display(data, raw=True, display_id=True)
        else:
            self.handle.update(data, raw=True)
