"""What is seen while a run goes on: a bar in a terminal, plain lines elsewhere."""

import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pyro_vae.terminal import PlainConsole

SECONDS_BETWEEN_LINES = 2.0


class ProgressBar:
    """Shows the course of a run.

    Args:
        epochs: of the whole run.
        start: the epochs that are done already.
        steps: the steps of one epoch.
        quiet: show nothing.
        console: where to show it; by default the standard output.
    """

    def __init__(self, epochs: int, start: int, steps: int, quiet: bool = False, console: Console | None = None):
        # In a notebook rich would make an HTML cell of every line, and of quiet ones too.
        self.console = console or PlainConsole(quiet=quiet, force_jupyter=False)
        self.epochs, self.steps = epochs, steps
        self.shown = -float("inf")
        self.bar: Progress | None = None
        if self.console.is_terminal and not self.console.quiet:
            self.bar = Progress(
                TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
                BarColumn(),
                TextColumn("{task.fields[elbo]}"),
                TimeRemainingColumn(),
                console=self.console,
            )
            self.task = self.bar.add_task("train", total=epochs * steps, completed=start * steps)
            self.bar.update(self.task, epoch=start + 1, epochs=epochs, elbo="starting (a long run compiles first)")

    def __enter__(self) -> Self:
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bar:
            self.bar.stop()

    def step(self) -> None:
        """One more step is done."""
        if self.bar:
            self.bar.advance(self.task)

    def epoch(self, epoch: int, elbos: dict[str, float], images_per_second: float) -> None:
        """One more epoch is done, with the ELBO of each split in nats per image."""
        words = "  ".join(f"{split} ELBO {elbo:.2f}" for split, elbo in elbos.items())
        words += f"  {images_per_second:,.0f} images/s"
        if self.bar:
            self.bar.update(self.task, epoch=min(epoch + 1, self.epochs), elbo=words)
        elif time.monotonic() - self.shown > SECONDS_BETWEEN_LINES or epoch == self.epochs:
            self.shown = time.monotonic()
            self.console.print(f"epoch {epoch}/{self.epochs}  {words}", highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        """A line of its own."""
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)
