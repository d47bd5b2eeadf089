"""The report: one HTML file that needs no other file."""

import json
import shlex
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from pyro_vae.compare.analysis import ArmReport
from pyro_vae.compare.diagnosis import diagnose
from pyro_vae.compare.gallery import gallery
from pyro_vae.compare.plotted import plotted
from pyro_vae.compare.record import METHOD, Comparison, command_of, spread
from pyro_vae.compare.results import Result
from pyro_vae.compare.terms import TERMS, key, term
from pyro_vae.estimators.estimate import Estimate
from pyro_vae.metrics import compared
from pyro_vae.metrics.base import NATS
from pyro_vae.observation import spoken
from pyro_vae.tables import figure

SCRIPTS = ("theme.js", "curves.js", "bars.js", "page.js")
NONE = "-"  #: in a table, for a missing number
#: the figures that a term of the glossary explains
EXPLAINED = {
    "elbo": "ELBO",
    "iwae": "IWAE bound",
    "log_evidence": "log p(x)",
    "inference_gap": "inference gap",
    "approximation_gap": "approximation gap",
    "amortization_gap": "amortization gap",
    "kl_to_q": "KL(p || q)",
    "coverage_90": "coverage",
}


def as_html(comparison: Comparison) -> str:
    """The page, in one string."""
    page = files("pyro_vae.compare") / "page"
    from plotly.offline import get_plotlyjs

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.globals.update(term=term, key=key)
    environment.filters["spoken"] = lambda text: Markup(spoken(str(text), comparison.one))
    template = environment.from_string((page / "report.html").read_text(encoding="utf-8"))
    return template.render(
        **_words(comparison),
        css=Markup((page / "report.css").read_text(encoding="utf-8")),
        scripts=[Markup((page / name).read_text(encoding="utf-8")) for name in SCRIPTS],
        plotly=Markup(get_plotlyjs()),
        data=Markup(in_script(plotted(comparison))),
    )


def in_script(value: Any) -> str:
    """JSON that is safe inside a script element, whatever its strings contain."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c").replace("&", "\\u0026")


def _words(comparison: Comparison) -> dict[str, Any]:
    """The content of the page."""
    reports = comparison.reports
    seeds = sorted({trial.seed for trial in comparison.trials})
    costs = [report.cost for report in reports.values() if report.cost is not None]
    waiting = {trial.name for trial in comparison.waiting}
    return {
        "data_name": Path(comparison.data).name,
        "title": f"Comparison on {Path(comparison.data).name}: {', '.join(reports)}",
        "percent": f"{comparison.confidence:.0%}",
        "baseline": comparison.baseline,
        "leader": comparison.verdict.leader,
        "margin": f"{comparison.verdict.margin:g}",
        "answers": comparison.answers,
        "failures": comparison.failed,
        "waiting": waiting,
        "finished": sum(len(report.results) for report in reports.values()),
        "seeds": seeds,
        "hour": costs[0].unit if costs else "core-hour",
        "arms": [_arm(comparison, report, seeds) for report in reports.values()],
        "difference_names": [
            (name, about.title)
            for name, about in compared().items()
            if any(name in report.differences for report in reports.values())
        ],
        "sources": _sources(comparison),
        "gaps": [_gap_row(arm, report) for arm, report in reports.items() if "inference_gap" in report.figures],
        "negative_gap": any(r.figures[n].low < 0 for r in reports.values() for n in r.figures if n.endswith("_gap")),
        "diagnosis": diagnose(reports),
        "pictures": gallery(reports.values()),
        "figures": _figures(comparison),
        "method": METHOD,
        "terms": TERMS,
        "command": shlex.join(["python", "-m", "pyro_vae.compare", *comparison.command]),
        "runs": [_run(comparison, i) for i in range(len(comparison.trials))],
    }


def _arm(comparison: Comparison, report: ArmReport, seeds: Sequence[int]) -> dict[str, Any]:
    elbo, other, cost = report.figures.get("elbo"), report.differences.get("elbo"), report.cost
    place = comparison.verdict.place(report.name)
    return {
        "name": report.name,
        "elbo": spread(elbo) if elbo else NONE,
        "difference": spread(other, "+") if other else "baseline" if report.name == comparison.baseline else NONE,
        "place": place,
        "term": place if place in TERMS else None,
        "rank": f"{report.mean_rank:.1f}" if report.mean_rank is not None else NONE,
        "seeds": len(report.results),
        "hours": f"{cost.hours:.2g}" if cost else NONE,
        "guide_parameters": f"{cost.guide_parameters:,}" if cost else NONE,
        "model_parameters": f"{cost.model_parameters:,}" if cost else NONE,
        "by_seed": [_by_seed(report, seed) for seed in seeds],
        "runs": [{"name": result.trial.name, "seed": seed} for seed, result in report.results.items()],
    }


def _by_seed(report: ArmReport, seed: int) -> str:
    result = report.results.get(seed)
    if result is None or "elbo" not in result.per_image:
        return NONE
    rank = f" ({report.ranks[seed]:g})" if seed in report.ranks else ""
    return f"{figure(float(result.per_image['elbo'].mean()))}{rank}"


def _run(comparison: Comparison, i: int) -> dict[str, Any]:
    trial = comparison.trials[i]
    result = comparison.reports[trial.arm].results.get(trial.seed)
    run = {"name": trial.name, "command": command_of(trial, comparison.arms), "state": "", "versions": ""}
    if result is None:
        failed = comparison.failed.get(trial.name)
        return run | {"state": "not finished" if failed is None else f"failed: {failed}", "bad": failed is not None}
    environment = dict(result.metrics["environment"])
    environment.pop("cuda")
    versions = ", ".join(f"{name} {value}" for name, value in environment.items())
    elbo = result.per_image.get("elbo")
    state = f"{result.hours:.2g} hours" if elbo is None else f"test ELBO {figure(float(elbo.mean()))}"
    return run | {"versions": versions, "state": state, "bad": False}


def _sources(comparison: Comparison) -> list[dict[str, Any]]:
    """Where each arm's difference to the leader comes from, as cells of a table."""
    return [
        {
            "arm": arm,
            **{name: spread(found, "+") for name, found in source._asdict().items()},
            "images": source.images,
            "seeds": source.seeds,
        }
        for arm, source in comparison.verdict.parts.items()
    ]


def _gap_row(arm: str, report: ArmReport) -> dict[str, Any]:
    parts = {part: spread(report.figures[f"{part}_gap"]) for part in ("approximation", "amortization", "inference")}
    return {"arm": arm, **parts, "images": report.figures["inference_gap"].images}


def _figures(comparison: Comparison) -> list[dict[str, Any]]:
    rows = []
    for name, about in compared().items():
        for arm, report in comparison.reports.items():
            found, other = report.figures.get(name), report.differences.get(name)
            if found is None:
                continue
            rows.append(
                {
                    "title": about.title,
                    "unit": "" if about.unit == NATS else f", {about.unit}",
                    "term": EXPLAINED.get(name),
                    "arm": arm,
                    "mean": spread(found, unit=about.unit),
                    "difference": spread(other, "+", about.unit) if other else NONE,
                    "verdict": _shown(comparison, report, name),
                    "seeds": found.seeds,
                    "images": f"{found.images:,}",
                    "by": _how(next(r for r in report.results.values() if name in r.per_image), name),
                }
            )
    return rows


def _shown(comparison: Comparison, report: ArmReport, name: str) -> str:
    """What the difference to the baseline shows; of one seed, nothing."""
    found, better = report.differences.get(name), compared()[name].better
    if report.name == comparison.baseline:
        return "baseline"
    if found is None:
        return "not compared"
    if found.seeds == 1:
        return "one seed: open"
    words: str = found.verdict
    if words in ("higher", "lower") and better != "neither":
        words += ", better" if words == better else ", worse"
    return words


def _how(result: Result, name: str) -> str:
    """The estimator of a figure, in words."""
    entry = result.metrics["evaluation"]["test"][compared()[name].metric]
    estimate = Estimate.from_dict(entry["figures"][name])
    words = f"{estimate.estimator}, {estimate.samples:,} samples"
    words += {None: "", "lower": "; a lower bound"}.get(estimate.bound, "; an upper bound")
    return f"{words}, {result.certified}" if name == "log_evidence" else words
