"""The files of a comparison, written anew whenever a run ends: what there is of it, at any moment."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pyro_vae.compare.analysis import analyse
from pyro_vae.compare.grid import Trial
from pyro_vae.compare.options import Plan
from pyro_vae.compare.record import Comparison, as_json
from pyro_vae.compare.results import read
from pyro_vae.compare.tidy import as_csv
from pyro_vae.compare.verdict import verdict
from pyro_vae.compare.words import answers
from pyro_vae.drawing import Drawing
from pyro_vae.files import write_atomic
from pyro_vae.live import observed_in

PART = 0.05  #: of the time that the report may take while runs go on


def compared(plan: Plan, argv: Sequence[str], ended: Sequence[Trial], failed: dict[str, str]) -> Comparison | None:
    """What the finished runs show; None where none has finished.

    Args:
        argv: the words of the command line.
        ended: the trials that are trained and measured, or failed.
        failed: the reasons of those that failed, by name.
    """
    results = [read(trial) for trial in ended if trial.name not in failed]
    if not results:
        return None
    reports = analyse([arm.name for arm in plan.arms], results, plan.baseline, plan.confidence)
    found = verdict(reports, plan.confidence, plan.margin)
    one = observed_in(results[0].trial.path)
    words = answers(found, reports, plan.confidence, len(plan.trials) - len(ended)).spoken(one)
    about = (plan.data, plan.baseline, plan.confidence, plan.arms, plan.trials)
    return Comparison(argv, *about, failed, reports, found, words, one)


def write(plan: Plan, comparison: Comparison) -> None:
    """Write report.html, comparison.json, comparison.csv, and comparison.png where there is something to draw."""
    from pyro_vae.compare.pictures import findings_picture
    from pyro_vae.compare.report import as_html
    from pyro_vae.pictures import figure_bytes
    from pyro_vae.plots import reworded

    write_atomic(plan.out / "comparison.json", as_json(comparison))
    write_atomic(plan.out / "comparison.csv", as_csv(comparison))
    write_atomic(plan.out / "report.html", as_html(comparison))
    with Drawing():
        if picture := findings_picture(comparison):
            write_atomic(plan.out / "comparison.png", figure_bytes(reworded(picture, comparison.one)))


@dataclass
class Publisher:
    """Writes the files after the first run that finishes, and again as more do, in a small part of the time.

    Attributes:
        say: shows a line to the user.
        ended: the trials that are trained and measured, or failed.
        failed: the reasons of those that failed, by name.
        written: when the files were written last.
        took: the seconds that it took.
    """

    plan: Plan
    argv: Sequence[str]
    say: Callable[[str], None]
    ended: list[Trial] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    written: float = 0.0
    took: float = 0.0

    def tell(self, trial: Trial, reason: str | None) -> None:
        """A trial has ended: it failed for this reason, or it was measured."""
        self.ended.append(trial)
        if reason is not None:
            self.failed[trial.name] = reason
        last = len(self.ended) == len(self.plan.trials)  # the command writes the last one
        if not last and (not self.written or (time.monotonic() - self.written) * PART > self.took):
            try:
                self.write()
            except Exception as error:  # hours of training go on; at the end the same is an error
                self.say(f"no report yet: {' '.join(str(error).split())[:300] or type(error).__name__}")

    def write(self) -> Comparison | None:
        """Write the files; None, and nothing written, where no run has finished."""
        began = time.monotonic()
        order = {trial.name: i for i, trial in enumerate(self.plan.trials)}
        ended = sorted(self.ended, key=lambda trial: order[trial.name])
        comparison = compared(self.plan, self.argv, ended, self.failed)
        if comparison is not None:
            write(self.plan, comparison)
            self.written = time.monotonic()
            self.took = self.written - began
        return comparison
