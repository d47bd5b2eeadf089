"""The record of a comparison: comparison.json, and the table in the terminal."""

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyro_vae.compare.analysis import ArmReport
from pyro_vae.compare.grid import Arm, Trial, svi_words
from pyro_vae.compare.statistics import Interval
from pyro_vae.compare.verdict import Verdict
from pyro_vae.compare.words import Answers
from pyro_vae.metrics import compared
from pyro_vae.metrics.base import NATS
from pyro_vae.observation import spoken
from pyro_vae.tables import Column, Sheet, figure

METHOD = (
    "Differences are paired by seed and test image. Images are resampled (bootstrap). Seeds are few, so their error"
    " is that of Student's t. The interval is that of the sum of both errors. With four or more arms, the spread of"
    " seeds is estimated from all arms together, with each seed as a block, and an arm whose own spread is larger gets"
    " a wider interval. The intervals of one quantity's differences hold together with the given confidence, even if"
    " one of the arms has a spread of its own. With fewer arms, or if an arm has other seeds than the baseline, each"
    " difference is judged by its own spread (Bonferroni)."
)


@dataclass(frozen=True)
class Comparison:
    """A finished comparison: what was asked for, and what was found.

    Attributes:
        command: the words of the command line.
        failed: the reason why a run failed, by the run's name.
        verdict: on all arms together.
        answers: what was found, in sentences.
        one: what one x is, in a word (:func:`pyro_vae.observation.observed`).
    """

    command: Sequence[str]
    data: str
    baseline: str
    confidence: float
    arms: Sequence[Arm]
    trials: Sequence[Trial]
    failed: Mapping[str, str]
    reports: Mapping[str, ArmReport]
    verdict: Verdict
    answers: Answers
    one: str

    @property
    def waiting(self) -> list[Trial]:
        """The trials that have neither finished nor failed."""
        return [
            trial
            for trial in self.trials
            if trial.name not in self.failed and trial.seed not in self.reports[trial.arm].results
        ]


def command_of(trial: Trial, arms: Sequence[Arm]) -> str:
    """The command that repeats a run."""
    words = svi_words(next(arm.words for arm in arms if arm.name == trial.arm))
    return shlex.join(["python", "-m", "pyro_vae.svi", *words, "--seed", str(trial.seed)])


def as_json(comparison: Comparison) -> str:
    """``comparison.json``: everything but the figures of single images, which the run folders have."""
    runs = []
    for trial in comparison.trials:
        result = comparison.reports[trial.arm].results.get(trial.seed)
        run: dict[str, Any] = {"name": trial.name, "arm": trial.arm, "seed": trial.seed}
        run |= {"command": command_of(trial, comparison.arms), "folder": f"runs/{trial.path.name}"}
        if result is None:
            if trial.name in comparison.failed:
                run["failed"] = comparison.failed[trial.name]
            else:
                run["waiting"] = True
        else:
            run |= {name: float(values.mean()) for name, values in result.per_image.items()}
            run |= {"seconds": result.metrics["seconds"], "environment": result.metrics["environment"]}
            run["evaluation"] = {
                name: entry["settings"] for name, entry in result.metrics["evaluation"]["test"].items()
            }
        runs.append(run)
    units = {name: about.unit for name, about in compared().items()}
    arms = [
        {
            "name": arm,
            "seeds": list(report.results),
            "figures": {name: {**_plain(found), "unit": units[name]} for name, found in report.figures.items()},
            "difference_to_baseline": {
                name: {**_plain(found), "unit": units[name], "verdict": found.verdict}
                for name, found in report.differences.items()
            },
            "rank": report.mean_rank,
            "active_directions": report.directions,
            "ranks": report.ranks,
            "cost": report.cost._asdict() if report.cost else None,
            "gain_per_hour": report.gain_per_hour,
        }
        for arm, report in comparison.reports.items()
    ]
    record = {
        "command": shlex.join(["python", "-m", "pyro_vae.compare", *comparison.command]),
        "data": comparison.data,
        "baseline": comparison.baseline,
        "confidence": comparison.confidence,
        "method": spoken(METHOD, comparison.one),
        "unit": NATS,
        "found": comparison.answers.lines,
        "verdict": {
            **{name: value for name, value in comparison.verdict._asdict().items() if name not in ("against", "parts")},
            "difference_to_leader": {arm: _plain(found) for arm, found in comparison.verdict.against.items()},
            "parts_of_difference": {
                arm: {name: _plain(found) for name, found in source._asdict().items()}
                for arm, source in comparison.verdict.parts.items()
            },
            "smallest_shown": comparison.verdict.smallest,
        },
        "waiting": [trial.name for trial in comparison.waiting],
        "arms": arms,
        "runs": runs,
    }
    return json.dumps(record, indent=2) + "\n"


def _plain(found: Interval) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in found._asdict().items()
    }


def spread(found: Interval, sign: str = "", unit: str = NATS) -> str:
    """A value with its interval: 1.23 [1.01, 1.45]; with a digit more where the unit is another than nats."""
    digits = 2 if unit == NATS else 3
    value, low, high = (figure(value, sign, digits) for value in (found.value, found.low, found.high))
    return f"{value} [{low}, {high}]"


def table(comparison: Comparison) -> Sheet:
    """The table of the terminal; the report has all figures."""
    rows = []
    unit = next((report.cost.unit for report in comparison.reports.values() if report.cost), "core-hour")
    for arm, report in comparison.reports.items():
        elbo, other = report.figures.get("elbo"), report.differences.get("elbo")
        rows.append(
            [
                arm,
                spread(elbo) if elbo else "-",
                spread(other, "+") if other else "baseline" if arm == comparison.baseline else "-",
                comparison.verdict.place(arm),
                f"{report.cost.hours:.2g}" if report.cost else "-",
            ]
        )
    return Sheet(
        [
            Column("", left=True),
            Column("ELBO", 3),
            Column(f"difference to {comparison.baseline}"),
            Column("verdict", 2, left=True),
            Column(f"{unit}s", 1),
        ],
        [rows],
        f"Test ELBO, nats per {comparison.one} [{comparison.confidence:.0%} interval]",
        f"verdict: against all arms; {unit}s: of training, a run",
    )
