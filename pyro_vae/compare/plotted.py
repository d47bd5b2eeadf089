"""The numbers that the report's script draws."""

from typing import Any

from pyro_vae.compare.record import Comparison
from pyro_vae.compare.results import Result
from pyro_vae.compare.statistics import Interval
from pyro_vae.metrics import compared
from pyro_vae.observation import spoken
from pyro_vae.plots import COLOURS

BETTER = {"higher": "right is better", "lower": "left is better", "neither": "neither side is better"}


def plotted(comparison: Comparison) -> dict[str, Any]:
    """All numbers of the page's pictures, as JSON has them."""
    reports = comparison.reports
    differences = {
        name: [
            {"arm": arm, **_ends(report.differences[name]), "shown": _is_shown(report.differences[name])}
            for arm, report in reports.items()
            if name in report.differences
        ]
        for name in compared()
    }
    parts = ("approximation", "amortization", "inference")
    return {
        "arms": list(reports),
        "colours": COLOURS,
        "baseline": comparison.baseline,
        "leader": comparison.verdict.leader,
        "margin": comparison.verdict.margin,
        "one": comparison.one,
        "figures": {
            name: {"title": spoken(about.title, comparison.one), "better": BETTER[about.better], "unit": about.unit}
            for name, about in compared().items()
        },
        "differences": {name: rows for name, rows in differences.items() if rows},
        "gaps": [
            {"arm": arm, **{part: _ends(report.figures[f"{part}_gap"]) for part in parts}}
            for arm, report in reports.items()
            if "inference_gap" in report.figures
        ],
        "sources": [
            {"arm": arm, **{name: _ends(found) for name, found in source._asdict().items()}}
            for arm, source in comparison.verdict.parts.items()
        ],
        "runs": [
            {"name": result.trial.name, "arm": arm, "seed": seed, "traces": traces(result)}
            for arm, report in reports.items()
            for seed, result in report.results.items()
        ],
    }


def _ends(found: Interval) -> dict[str, float]:
    return {"value": found.value, "low": found.low, "high": found.high}


def _is_shown(found: Interval) -> bool:
    """Whether a difference is shown, to other trainings too."""
    return found.seeds > 1 and found.verdict != "no difference shown"


def traces(result: Result) -> dict[str, dict[str, list[float]]]:
    """The trace of each split, column by column, rounded to the digits that a picture shows."""
    from pyro_vae.runs import RunFolder

    found: dict[str, dict[str, list[float]]] = {}
    for row in RunFolder(result.trial.path).read_trace():
        columns = found.setdefault(row.split, {})
        for name in ("step", "epoch", "seconds", "elbo", "log_likelihood", "kl"):
            columns.setdefault(name, []).append(float(f"{getattr(row, name):.6g}"))
    return found
