"""Unfinished runs, read from their folders: a table that is redrawn while they train."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.live import Live
from rich.table import Table

from pyro_vae.checkpoint import entry
from pyro_vae.errors import InputError
from pyro_vae.observation import observed
from pyro_vae.runs import RunFolder
from pyro_vae.tables import UNLIMITED, Column, Sheet, figure, fitted
from pyro_vae.terminal import PlainConsole, printable

BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 24  #: letters of a curve


class Course(NamedTuple):
    """The progress of a run.

    Attributes:
        state: "not begun", "begun", "training" or "trained".
        train, test: the last ELBOs, nats per image; None before the first epoch is finished.
        best: the highest test ELBO.
        seconds: of training so far.
        curve: all test ELBOs.
    """

    state: str
    epoch: int = 0
    epochs: int = 0
    train: float | None = None
    test: float | None = None
    best: float | None = None
    seconds: float = 0.0
    curve: tuple[float, ...] = ()

    @property
    def left(self) -> float | None:
        """The remaining seconds of training, if all epochs take the same time."""
        if self.state == "trained" or not self.epoch:
            return None
        return self.seconds / self.epoch * (self.epochs - self.epoch)


def observed_in(path: Path) -> str:
    """What one x of the run in this folder is, in a word; "image" before its first checkpoint."""
    folder = RunFolder(path)
    shape = entry(folder.checkpoint("last"), "image_shape") or entry(folder.checkpoint("best"), "image_shape")
    known = isinstance(shape, list) and all(isinstance(side, int) for side in shape)
    return observed(shape) if known else "image"


def course(path: Path) -> Course:
    """The progress of the run in this folder."""
    folder = RunFolder(path)
    if not (path / "config.yaml").exists():
        return Course("not begun")
    epochs = folder.config_table().get("epochs", 0)
    if not isinstance(epochs, int):
        raise InputError(f"{path / 'config.yaml'} says epochs: {epochs}, and it must be a number")
    rows = folder.read_trace()
    test = [row for row in rows if row.split == "test"]
    if not test:
        return Course("begun", 0, epochs)
    train = [row.elbo for row in rows if row.split == "train"]
    elbos = tuple(row.elbo for row in test)
    state = "trained" if folder.read_metrics().get("finished") else "training"
    last = test[-1]
    return Course(state, last.epoch, epochs, train[-1] if train else None, last.elbo, max(elbos), last.seconds, elbos)


def sparkline(values: Sequence[float], width: int = WIDTH) -> str:
    """A curve in one line of text; its first twentieth is cut off if it would flatten the rest.

    >>> sparkline([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    '▁▂▃▄▅▆▇█'
    """
    if not values:
        return ""
    count = min(width, len(values))
    shown = [values[(i + 1) * len(values) // count - 1] for i in range(count)]
    low, high = min(values[len(values) // 20 :]), max(shown)
    span = (high - low) or 1.0
    return "".join(BLOCKS[max(0, min(7, int((value - low) / span * 7.999)))] for value in shown)


def live_table(
    paths: Sequence[Path],
    state: Callable[[Path, Course], str] = lambda _, course: course.state,
    width: int = UNLIMITED,
) -> Table:
    """All runs, a line each; errors stand below.

    Args:
        state: the words for a run; by default the state of its progress.
        width: in letters, of the terminal.
    """
    keep = {"state": 6, "epoch": 7, "train ELBO": 2, "best": 5, "seconds": 3, "left": 4, "course": 1}
    names = ("run", "state", "epoch", "train ELBO", "test ELBO", "best", "seconds", "left", "course")
    columns = [Column(name, keep.get(name, 0), name in ("run", "state", "course")) for name in names]
    one = " or ".join(dict.fromkeys(map(observed_in, paths))) or "image"
    rows, notes = [], [f"ELBO in nats per {one}; course: of the test ELBO"]
    for path in paths:
        try:
            now = course(path)
        except InputError as error:
            rows.append([path.name, "unreadable", *[""] * (len(columns) - 2)])
            notes.append(str(error))
            continue
        elbos = ["" if value is None else figure(value) for value in (now.train, now.test, now.best)]
        left = "" if now.left is None else f"{now.left:.0f}"
        times = [f"{now.seconds:.0f}" if now.epoch else "", left]
        epoch = f"{now.epoch}/{now.epochs}" if now.epochs else ""
        rows.append([path.name, state(path, now), epoch, *elbos, *times, sparkline(now.curve)])
    return fitted(Sheet(columns, [rows], caption="\n".join(notes)), width)


def follow(paths: Sequence[Path], console: Console | None = None, every: float = 1.0) -> None:
    """Show the runs until all are trained, or until Ctrl-C.

    If the output is no terminal, print a line for each epoch that finishes.
    """
    console = console or PlainConsole()
    if console.is_terminal:
        with Live(
            get_renderable=lambda: live_table(paths, width=console.width), console=console, refresh_per_second=1 / every
        ):
            while not all(course(path).state == "trained" for path in paths):
                time.sleep(every)
        return
    shown: dict[Path, int] = {}
    going = list(paths)
    while going:
        for path in list(going):
            now = course(path)
            if now.epoch > shown.get(path, 0) and now.test is not None:
                shown[path] = now.epoch
                best = now.test if now.best is None else now.best
                words = f"epoch {now.epoch}/{now.epochs}  test ELBO {figure(now.test)}  best {figure(best)}"
                console.print(f"{printable(path.name)}: {words}", highlight=False, soft_wrap=True, markup=False)
            if now.state == "trained":
                going.remove(path)
        if going:
            time.sleep(every)
