"""The guide against the true posterior: the figures of each arm that tell what is wrong with q(z|x)."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from pyro_vae.compare.analysis import ArmReport
from pyro_vae.compare.tidy import measured
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


#: by the figure of ``evaluate``, measured on test or on simulated images
SIGNS = {
    "unreliable": Sign("images with k-hat above 0.7", "k-hat", "0%", _percent),
    "kl_to_q": Sign("KL(p || q), nats", "KL(p || q)", "0"),
    "coverage_50": Sign("coverage error of q's densest half", "coverage", "0"),
    "coverage_90": Sign("coverage error of q's densest 90%", "coverage", "0"),
    "outside": Sign("posterior's mass outside q's 99.9%", "coverage", "0"),
    "scales": Sign("log of q's sd over the posterior's", "coverage", "0"),
    "c2st": Sign("a classifier tells q from p", "coverage", "0.50"),
    "calibration": Sign("p-value of calibration", "calibration", "not small", _short),
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
    found: dict[str, dict[str, list[float]]] = {}
    for arm, report in reports.items():
        of_arm = found.setdefault(arm, {})
        for result in report.results.values():
            for split, name, estimate in measured(result):
                if name in SIGNS and split != "train" and np.isfinite(estimate.value):
                    of_arm.setdefault(name, []).append(estimate.value)
    shown = [name for name in SIGNS if any(name in of_arm for of_arm in found.values())]
    rows = {arm: [_cell(SIGNS[name], of_arm.get(name, [])) for name in shown] for arm, of_arm in found.items()}
    return Table([SIGNS[name] for name in shown], {arm: row for arm, row in rows.items() if reports[arm].results})


def _cell(sign: Sign, values: list[float]) -> str:
    if not values:
        return "-"
    mean, low, high = (sign.show(value) for value in (float(np.mean(values)), min(values), max(values)))
    return mean if low == high else f"{mean} ({low} to {high})"
