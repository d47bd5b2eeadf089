"""The guide against the true posterior: the figures of each arm that tell what is wrong with q(z|x)."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from pyro_vae.compare.analysis import ArmReport
from pyro_vae.tables import figure


class Sign(NamedTuple):
    """A figure that diagnoses a guide.

    Attributes:
        title: the head of its column.
        term: that explains it.
        perfect: its value for the true posterior, in words; empty where there is none.
        show: writes a value.
    """

    title: str
    term: str
    perfect: str
    show: Callable[[float], str] = figure


def _percent(value: float) -> str:
    return f"{value:.0%}"


def _short(value: float) -> str:
    return f"{value:.2g}"


#: by the estimate of ``evaluate``, made on test or on simulated images
SIGNS = {
    "unreliable": Sign("images with k-hat above 0.7", "k-hat", "0%", _percent),
    "kl_to_q": Sign("KL(p || q), nats", "KL(p || q)", "0"),
    "mass_90": Sign("posterior's mass in q's densest 90%", "coverage", "90%", _percent),
    "coverage_90": Sign("distance from 90%, image by image", "coverage", "0"),
    "mean_error": Sign("means off, in posterior sd", "moments", "0"),
    "log_scale_ratio": Sign("log of q's sd over the posterior's", "moments", "0"),
    "correlation_error": Sign("correlations off", "moments", "0"),
    "c2st": Sign("a classifier tells q from p", "classifier", "0.50"),
    "calibration": Sign("p of uniform ranks", "calibration", "not small", _short),
    "dimensions_p": Sign("p of ranks, ECDF", "calibration", "not small", _short),
    "tarp_p": Sign("p of TARP", "calibration", "not small", _short),
    "expected_coverage_90": Sign("expected coverage at 90%", "calibration", "90%", _percent),
    "active_directions": Sign("directions of z in use", "directions", "", lambda value: f"{value:.1f}"),
}


class Table(NamedTuple):
    """What was measured of :data:`SIGNS`.

    Attributes:
        signs: the columns.
        rows: for each arm a cell for each sign: the mean over seeds, and its range where there are several.
    """

    signs: list[Sign]
    rows: dict[str, list[str]]


def diagnose(reports: Mapping[str, ArmReport]) -> Table:
    """The table of the arms that have finished runs; without columns where nothing was measured."""
    found = {arm: _values(report) for arm, report in reports.items() if report.results}
    shown = [name for name in SIGNS if any(name in of_arm for of_arm in found.values())]
    rows = {arm: [_cell(SIGNS[name], of_arm.get(name, [])) for name in shown] for arm, of_arm in found.items()}
    return Table([SIGNS[name] for name in shown], rows)


def judged(reports: Mapping[str, ArmReport]) -> dict[str, str]:
    """What each arm's q misses of the true posterior, in words; none where it was not measured."""
    found = {arm: _values(report) for arm, report in reports.items()}
    words = {}
    for arm, values in found.items():
        if {"mass_90", "kl_to_q"} <= values.keys():
            mass, missed = (float(np.mean(values[name])) for name in ("mass_90", "kl_to_q"))
            words[arm] = f"{arm} {_percent(mass)} (KL(p || q) = {figure(missed)} nats)"
    return words


def _values(report: ArmReport) -> dict[str, list[float]]:
    """For each sign its values, one a seed."""
    values: dict[str, list[float]] = {}
    for result in report.results.values():
        for split, name, estimate in result.measured():
            if name in SIGNS and split != "train" and np.isfinite(estimate.value):
                values.setdefault(name, []).append(estimate.value)
    return values


def _cell(sign: Sign, values: list[float]) -> str:
    if not values:
        return "-"
    mean, low, high = (sign.show(value) for value in (float(np.mean(values)), min(values), max(values)))
    return mean if low == high else f"{mean} ({low} to {high})"
