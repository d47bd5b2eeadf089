"""The progress of a run: a bar in a terminal or a notebook, plain lines elsewhere."""

import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pyro_vae.heartbeat import Heartbeat, NotebookLine
from pyro_vae.terminal import PlainConsole

SECONDS_BETWEEN_LINES = 2.0
NARROW = 100  #: letters; a narrower terminal shows only the test ELBO


class ProgressBar:
    """Shows the progress of a run. Without a bar, a line names the work at hand before a long silence.

    Args:
        epochs: of the whole run.
        start: the epochs already done.
        steps: the steps of one epoch.
        quiet: show nothing.
        console: by default the standard output.
        one: what one x is, in a word.
    """

    def __init__(
        self,
        epochs: int,
        start: int,
        steps: int,
        quiet: bool = False,
        console: Console | None = None,
        one: str = "image",
    ):
        # In a notebook rich makes an HTML cell of every line, even of quiet ones.
        self.console = console or PlainConsole(quiet=quiet, force_jupyter=False)
        self.epochs, self.steps, self.one = epochs, steps, one
        self.current, self.done, self.words, self.at_work = start + 1, start * steps, "", "starting"
        self.shown = -float("inf")
        self.bar: Progress | None = None
        self.notebook = NotebookLine() if NotebookLine.possible() and console is None and not quiet else None
        self.heart = Heartbeat(self.say, self._what_goes_on)
        if self.console.is_terminal and not self.console.quiet:
            columns = (TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"), BarColumn(bar_width=16))
            words = (TextColumn("{task.fields[words]}", markup=False), TimeRemainingColumn(compact=True))
            self.bar = Progress(*columns, *words, console=self.console)
            self.task = self.bar.add_task("train", total=epochs * steps, completed=self.done)
            self.bar.update(self.task, epoch=self.current, epochs=epochs, words=self.at_work)

    def __enter__(self) -> Self:
        if self.bar:
            self.bar.start()
        elif self.notebook is None and not self.console.quiet:
            self.heart.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bar:
            self.bar.stop()
        elif self.notebook is None and not self.console.quiet:
            self.heart.__exit__(*exception)

    def _what_goes_on(self) -> str:
        part = self.done / (self.epochs * self.steps)
        return f"epoch {self.current}/{self.epochs}  {self.at_work} ({part:.0%} of the steps are done)"

    def phase(self, name: str) -> None:
        """Name the present work: training, measuring, drawing pictures."""
        self.at_work = name
        self.heart.heard()
        self._show()

    def _show(self) -> None:
        words = f"{self.words}  {self.at_work}".strip()
        if self.bar:
            self.bar.update(self.task, completed=self.done, epoch=self.current, words=words)
        elif self.notebook:
            words = f"epoch {self.current}/{self.epochs}  {words}"
            self.notebook.show(self.done / (self.epochs * self.steps), words)

    def step(self) -> None:
        """One more step is done."""
        self.done += 1
        if self.bar:
            self.bar.advance(self.task)
        elif self.notebook:
            self._show()

    def epoch(self, epoch: int, elbos: dict[str, float], images_per_second: float) -> None:
        """One more epoch is done, with the ELBO of each split in nats per image."""
        words = "  ".join(f"{split} ELBO {elbo:.2f}" for split, elbo in elbos.items())
        words += f"  {images_per_second:,.0f} {self.one}s/s"
        narrow = self.bar is not None and self.console.width < NARROW
        self.words = f"test {elbos['test']:.2f}" if narrow and "test" in elbos else words
        self.current = min(epoch + 1, self.epochs)
        if self.bar or self.notebook:
            self.phase("training" if epoch < self.epochs else "")
        elif time.monotonic() - self.shown > SECONDS_BETWEEN_LINES or epoch == self.epochs:
            self.shown = time.monotonic()
            self.console.print(f"epoch {epoch}/{self.epochs}  {words}", highlight=False, soft_wrap=True)
            self.heart.heard()
        self.at_work = "training"

    def say(self, line: str) -> None:
        """Print a line."""
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)
