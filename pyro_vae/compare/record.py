"""The files beside the report: comparison.json, comparison.csv, and the table in the terminal."""

import csv
import io
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyro_vae.compare.analysis import ArmReport
from pyro_vae.compare.grid import Arm, Trial, svi_words
from pyro_vae.compare.statistics import Interval
from pyro_vae.metrics import compared
from pyro_vae.tables import Column, Sheet

METHOD = (
    "Differences are paired by seed and test image. Images are resampled (bootstrap); seeds, which are few, enter by"
    " Student's t; the interval is that of the sum of both errors. With four arms or more the arms know the seeds'"
    " spread together, each seed a block, and an arm is given a wider interval the more its own spread is above the"
    " others'. The intervals of one figure's differences hold all together with the confidence given, whichever one of"
    " the arms may have a spread of its own. With fewer arms, and where an arm has other seeds than the baseline, each"
    " difference is judged by its own spread (Bonferroni)."
)


@dataclass(frozen=True)
class Comparison:
    """A finished comparison: what was asked for, and what was found.

    Attributes:
        command: the words of the command line.
        failed: the reason why a run failed, by the run's name.
        words: what was found, a sentence for each arm.
    """

    command: Sequence[str]
    data: str
    baseline: str
    confidence: float
    arms: Sequence[Arm]
    trials: Sequence[Trial]
    failed: Mapping[str, str]
    reports: Mapping[str, ArmReport]
    words: Sequence[str]


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
            run["failed"] = comparison.failed.get(trial.name, "not finished")
        else:
            run |= {name: float(values.mean()) for name, values in result.per_image.items()}
            run |= {"seconds": result.metrics["seconds"], "environment": result.metrics["environment"]}
            run["evaluation"] = {
                name: entry["settings"] for name, entry in result.metrics["evaluation"]["test"].items()
            }
        runs.append(run)
    arms = [
        {
            "name": arm,
            "seeds": list(report.results),
            "figures": {name: _plain(found) for name, found in report.figures.items()},
            "difference_to_baseline": {
                name: {**_plain(found), "verdict": found.verdict} for name, found in report.differences.items()
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
        "method": METHOD,
        "unit": "nats per image",
        "found": list(comparison.words),
        "arms": arms,
        "runs": runs,
    }
    return json.dumps(record, indent=2) + "\n"


def _plain(found: Interval) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in found._asdict().items()
    }


def as_csv(comparison: Comparison) -> str:
    """``comparison.csv``: a line for each arm and figure, in nats per image."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    ends = ("mean", "low", "high", "difference", "difference_low", "difference_high", "verdict")
    spent = ("rank", "seconds", "hours", "hour_of", "guide_parameters", "model_parameters")
    writer.writerow(["arm", "figure", "better", "seeds", "images", *ends, *spent])
    for arm, report in comparison.reports.items():
        cost = report.cost
        costs = [""] * 5 if cost is None else [cost.seconds, cost.hours, cost.unit.removesuffix("-hour"), *cost[3:]]
        for name, found in report.figures.items():
            other = report.differences.get(name)
            gain = [""] * 4 if other is None else [other.value, other.low, other.high, other.verdict]
            head = [arm, name, compared()[name].better, found.seeds, found.images]
            writer.writerow([*head, found.value, found.low, found.high, *gain, report.mean_rank, *costs])
    return text.getvalue()


def spread(found: Interval, sign: str = "") -> str:
    """A value with its interval: 1.23 [1.01, 1.45]."""
    return f"{found.value:{sign}.2f} [{found.low:{sign}.2f}, {found.high:{sign}.2f}]"


def table(comparison: Comparison) -> Sheet:
    """The table of the terminal; the report has all figures."""
    rows = []
    for arm, report in comparison.reports.items():
        elbo, other = report.figures.get("elbo"), report.differences.get("elbo")
        rows.append(
            [
                arm,
                spread(elbo) if elbo else "-",
                spread(other, "+") if other else "baseline" if arm == comparison.baseline else "-",
                f"{report.mean_rank:.1f}" if report.mean_rank is not None else "-",
                f"{report.cost.seconds:.0f}" if report.cost else "-",
            ]
        )
    return Sheet(
        [
            Column("", left=True),
            Column("ELBO", 3),
            Column(f"difference to {comparison.baseline}"),
            Column("rank", 2),
            Column("seconds", 1),
        ],
        [rows],
        f"Test ELBO, nats per image [{comparison.confidence:.0%} interval]",
        "rank: mean over seeds, 1 is the highest; seconds: of training",
    )
