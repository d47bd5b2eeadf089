"""The progress of the grid: a table in a terminal, elsewhere a line for each run that ends."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from pyro_vae.compare.grid import Trial
from pyro_vae.compare.results import hours_of
from pyro_vae.heartbeat import Heartbeat
from pyro_vae.live import Course, course, live_table, observed_in
from pyro_vae.runs import RunFolder
from pyro_vae.tables import figure
from pyro_vae.terminal import PlainConsole


class Dashboard:
    """Shows the trials; it reads run folders, and the caller reports which trials have ended.

    Attributes:
        failed: the reason of each trial that failed.
    """

    def __init__(self, trials: Sequence[Trial], console: Console | None = None):
        self.console = console or PlainConsole()
        self.trials = {trial.path: trial for trial in trials}
        self.ended: set[Path] = set()
        self.failed: dict[Path, str] = {}
        self.began = time.monotonic()
        self.heart = Heartbeat(self.say, self._what_goes_on)
        self.live = Live(get_renderable=self._screen, console=self.console, refresh_per_second=1, transient=True)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self.live.start()
        else:
            self.say(
                f"{len(self.trials)} runs are trained and measured: {', '.join(t.name for t in self.trials.values())}"
            )
            self.heart.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.console.is_terminal:
            self.live.stop()
        else:
            self.heart.__exit__(*exception)

    def tell(self, trial: Trial, reason: str | None) -> None:
        """A trial has ended: it failed for this reason, or it was measured."""
        self.ended.add(trial.path)
        if reason is not None:
            self.failed[trial.path] = reason
        words = f"failed: {reason}" if reason is not None else _result(trial)
        self.heart.heard()
        self.say(f"[{len(self.ended)}/{len(self.trials)}] {trial.name}: {words}")

    def say(self, line: str) -> None:
        """Print a line."""
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)

    def _what_goes_on(self) -> str:
        """The runs that are going, in one line, for where there is no screen."""
        going = []
        for path in self.trials:
            now = course(path)
            if path in self.ended or now.state == "not begun":
                continue
            left = "" if now.left is None else f", {now.left:.0f} s left"
            far = f" {now.epoch}/{now.epochs}{left}" if now.state == "training" else ""
            going.append(f"{path.name}: {self._state(path, now)}{far}")
        head = f"{len(self.ended)} of {len(self.trials)} runs done"
        return f"{head}; {'; '.join(going)}" if going else f"{head}; the workers import PyTorch and Pyro"

    def _state(self, path: Path, now: Course) -> str:
        if path in self.failed:
            return "failed"
        if path in self.ended:
            return "done"
        return f"measuring{self._left(path)}" if now.state == "trained" else now.state

    def _left(self, path: Path) -> str:
        """How long measuring still takes, if it takes as long as for the runs that are done; empty before one is."""
        whole = [_measured(other) for other in self.ended - set(self.failed)]
        return f", {max(0.0, sum(whole) / len(whole) - _measured(path)):.0f} s left" if whole else ""

    def _screen(self) -> Group:
        """The present runs, the last ended ones and the next ones, as many as fit."""
        room = max(4, self.console.height - 8)
        open_ = [path for path in self.trials if path not in self.ended]
        ended = [path for path in self.trials if path in self.ended]
        shown = set((ended[-max(0, room - len(open_)) :] if len(open_) < room else []) + open_[:room])
        table = live_table([path for path in self.trials if path in shown], self._state, self.console.width)
        minutes, seconds = divmod(int(time.monotonic() - self.began), 60)
        failed = f", {len(self.failed)} failed" if self.failed else ""
        head = f"{len(self.ended)} of {len(self.trials)} runs done{failed}, {minutes}:{seconds:02d}"
        return Group(Text(head), table)


def _measured(path: Path) -> float:
    """Seconds that the finished measures of a run took."""
    sources = RunFolder(path).read_metrics().get("evaluation", {})
    return sum(entry["seconds"] for measures in sources.values() for entry in measures.values())


def _result(trial: Trial) -> str:
    """A finished run's ELBO, as the report has it: measured, or where it was not, that of the end of training."""
    metrics = RunFolder(trial.path).read_metrics()
    measured = metrics.get("evaluation", {}).get("test", {}).get("elbo", {}).get("figures", {})
    value = measured.get("elbo", metrics["test_elbo"])["value"]
    hours, unit = hours_of(metrics)
    words = "none" if value is None else figure(value)
    return f"test ELBO {words} nats per {observed_in(trial.path)}, {hours:.2g} {unit}s of training"
