"""The report: one HTML file that needs no other file."""

import base64
import json
import shlex
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from pyro_vae.compare.analysis import ArmReport
from pyro_vae.compare.record import METHOD, Comparison, command_of, spread
from pyro_vae.compare.results import Result
from pyro_vae.estimators.estimate import Estimate
from pyro_vae.metrics import compared

PICTURES = {
    "reconstructions": ("Reconstructions", "Test images above their reconstructions"),
    "prior_samples": ("Samples", "Images drawn from the prior"),
    "latent": ("Latent space", "Latent positions of the test images"),
    "manifold": ("Manifold", "Images over the latent plane"),
}
NONE = "-"  #: in a table, for a missing number


def as_html(comparison: Comparison) -> str:
    """The page, in one string."""
    page = files("pyro_vae.compare") / "page"
    from plotly.offline import get_plotlyjs

    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        (page / "report.html").read_text(encoding="utf-8")
    )
    return template.render(
        **_words(comparison),
        css=Markup((page / "report.css").read_text(encoding="utf-8")),
        script=Markup((page / "report.js").read_text(encoding="utf-8")),
        plotly=Markup(get_plotlyjs()),
        data=Markup(_in_script(_data(comparison))),
    )


def _in_script(value: Any) -> str:
    """JSON that is safe inside a script element, whatever its strings contain."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c").replace("&", "\\u0026")


def _words(comparison: Comparison) -> dict[str, Any]:
    """The content of the page."""
    reports = comparison.reports
    seeds = sorted({trial.seed for trial in comparison.trials})
    runs = [_run(comparison, i) for i in range(len(comparison.trials))]
    costs = [report.cost for report in reports.values() if report.cost is not None]
    return {
        "title": f"Comparison on {Path(comparison.data).name}: {', '.join(reports)}",
        "percent": f"{comparison.confidence:.0%}",
        "baseline": comparison.baseline,
        "words": comparison.words,
        "failures": comparison.failed,
        "finished": sum(len(report.results) for report in reports.values()),
        "seeds": seeds,
        "hour": costs[0].unit if costs else "hour",
        "arms": [_arm(comparison, report, seeds, runs) for report in reports.values()],
        "differences": any(report.differences for report in reports.values()),
        "difference_names": [
            (name, figure.title)
            for name, figure in compared().items()
            if any(name in report.differences for report in reports.values())
        ],
        "gaps": [_gap_words(arm, report) for arm, report in reports.items() if "inference_gap" in report.figures],
        "pictures": _pictures(reports.values()),
        "figures": _figures(comparison),
        "method": METHOD,
        "command": shlex.join(["python", "-m", "pyro_vae.compare", *comparison.command]),
        "runs": runs,
    }


def _arm(
    comparison: Comparison, report: ArmReport, seeds: Sequence[int], runs: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    elbo, other, cost = report.figures.get("elbo"), report.differences.get("elbo"), report.cost
    per_hour = report.gain_per_hour
    return {
        "name": report.name,
        "elbo": spread(elbo) if elbo else NONE,
        "difference": spread(other, "+") if other else NONE,
        "verdict": _verdict(comparison, report, "elbo"),
        "tone": other.verdict if other is not None and other.verdict != "no difference shown" else "",
        "rank": f"{report.mean_rank:.1f}" if report.mean_rank is not None else NONE,
        "seeds": len(report.results),
        "seconds": f"{cost.seconds:,.0f}" if cost else NONE,
        "hours": f"{cost.hours:.3g}" if cost else NONE,
        "gain_per_hour": f"{per_hour:+,.3g}" if per_hour is not None else NONE,
        "guide_parameters": f"{cost.guide_parameters:,}" if cost else NONE,
        "model_parameters": f"{cost.model_parameters:,}" if cost else NONE,
        "by_seed": [_by_seed(report, seed) for seed in seeds],
        "runs": [run for run in runs if run["arm"] == report.name and not run["failed"]],
    }


def _verdict(comparison: Comparison, report: ArmReport, name: str) -> str:
    """The verdict on a metric of an arm, in words."""
    found, better = report.differences.get(name), compared()[name].better
    if report.name == comparison.baseline:
        return "baseline"
    if found is None:
        return "not compared"
    words: str = found.verdict
    if words in ("higher", "lower") and better != "neither":
        words += ", better" if words == better else ", worse"
    return words + (", of one seed only" if found.seeds == 1 else "")


def _by_seed(report: ArmReport, seed: int) -> str:
    result = report.results.get(seed)
    if result is None or "elbo" not in result.per_image:
        return NONE
    rank = f" ({report.ranks[seed]:g})" if seed in report.ranks else ""
    return f"{result.per_image['elbo'].mean():.2f}{rank}"


def _run(comparison: Comparison, i: int) -> dict[str, Any]:
    trial = comparison.trials[i]
    result = comparison.reports[trial.arm].results.get(trial.seed)
    run = {"name": trial.name, "arm": trial.arm, "seed": trial.seed, "command": command_of(trial, comparison.arms)}
    if result is None:
        return run | {"elbo": NONE, "seconds": NONE, "versions": "", "failed": comparison.failed.get(trial.name, "?")}
    environment = dict(result.metrics["environment"])
    environment.pop("cuda")
    versions = ", ".join(f"{name} {value}" for name, value in environment.items())
    elbo = f"{result.per_image['elbo'].mean():.2f}" if "elbo" in result.per_image else NONE
    return run | {"elbo": elbo, "seconds": f"{result.metrics['seconds']:,.0f}", "versions": versions, "failed": ""}


def _gap_words(arm: str, report: ArmReport) -> dict[str, Any]:
    parts = {part: spread(report.figures[f"{part}_gap"]) for part in ("approximation", "amortization", "inference")}
    return {"arm": arm, **parts, "images": report.figures["inference_gap"].images}


def _pictures(reports: Any) -> list[dict[str, Any]]:
    """The pictures of each arm's first finished run, kind by kind."""
    found = []
    for name, (title, alt) in PICTURES.items():
        of = []
        for report in reports:
            for seed, result in list(report.results.items())[:1]:
                path = result.trial.path / "figures" / f"{name}.png"
                if path.exists():
                    png = base64.b64encode(path.read_bytes()).decode()
                    of.append({"arm": report.name, "seed": seed, "png": png})
        if of:
            found.append({"title": title, "alt": alt, "of": of})
    return found


def _figures(comparison: Comparison) -> list[dict[str, Any]]:
    rows = []
    for name, figure in compared().items():
        for arm, report in comparison.reports.items():
            found, other = report.figures.get(name), report.differences.get(name)
            if found is None:
                continue
            verdict: str = (
                "baseline" if arm == comparison.baseline else "not compared" if other is None else other.verdict
            )
            rows.append(
                {
                    "title": figure.title,
                    "arm": arm,
                    "mean": spread(found),
                    "difference": spread(other, "+") if other else NONE,
                    "verdict": verdict,
                    "seeds": found.seeds,
                    "images": f"{found.images:,}",
                    "by": _how(next(iter(report.results.values())), name),
                }
            )
    return rows


def _how(result: Result, name: str) -> str:
    """The estimator of a metric, in words."""
    entry = result.metrics["evaluation"]["test"][compared()[name].metric]
    estimate = Estimate.from_dict(entry["figures"][name])
    words = f"{estimate.estimator}, {estimate.samples:,} samples"
    words += {None: "", "lower": "; a lower bound"}.get(estimate.bound, "; an upper bound")
    return f"{words}, {result.certified}" if name == "log_evidence" else words


def _data(comparison: Comparison) -> dict[str, Any]:
    """The numbers for the script's plots."""
    reports = comparison.reports
    shown = {}
    for name in compared():
        rows = [
            {"arm": arm, "value": d.value, "low": d.low, "high": d.high, "verdict": d.verdict}
            for arm, report in reports.items()
            if (d := report.differences.get(name)) is not None
        ]
        if rows:
            shown[name] = rows
    gaps = [
        {
            "arm": arm,
            **{part: {"value": report.figures[f"{part}_gap"].value} for part in ("approximation", "amortization")},
        }
        for arm, report in reports.items()
        if "inference_gap" in report.figures
    ]
    better = {"higher": "right is better", "lower": "left is better", "neither": "neither side is better"}
    return {
        "arms": list(reports),
        "baseline": comparison.baseline,
        "figures": {name: {"title": f.title, "better": better[f.better]} for name, f in compared().items()},
        "differences": shown,
        "gaps": gaps,
        "runs": [
            {"name": result.trial.name, "arm": arm, "traces": _traces(result)}
            for arm, report in reports.items()
            for result in report.results.values()
        ],
    }


def _traces(result: Result) -> dict[str, dict[str, list[float]]]:
    """The trace of each split, column by column, rounded to the digits that a picture shows."""
    from pyro_vae.runs import RunFolder

    found: dict[str, dict[str, list[float]]] = {}
    for row in RunFolder(result.trial.path).read_trace():
        columns = found.setdefault(row.split, {})
        for name in ("step", "epoch", "seconds", "elbo", "log_likelihood", "kl"):
            columns.setdefault(name, []).append(float(f"{getattr(row, name):.6g}"))
    return found
