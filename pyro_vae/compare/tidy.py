"""``comparison.csv``: a row for each run and figure, as tables of data are read elsewhere (Wickham 2014)."""

import csv
import io
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from pyro_vae.compare.record import Comparison
from pyro_vae.compare.results import Cost, Result, hours_of


class Row(NamedTuple):
    """One figure of one run.

    Attributes:
        split: the images that it was measured on: test, train, simulated.
        standard_error: over images; empty where there is none.
        bound: "lower" or "upper" where the value is a bound in expectation.
    """

    arm: str
    seed: int
    run: str
    split: str
    figure: str
    value: float
    standard_error: float | None
    unit: str
    images: int | None
    samples: int | None
    bound: str | None
    estimator: str


def rows(comparison: Comparison) -> Iterator[Row]:
    """All rows: what ``evaluate`` measured, then what the run cost."""
    for arm, report in comparison.reports.items():
        for result in report.results.values():
            head = Row(arm, result.trial.seed, result.trial.name, "", "", 0.0, None, "", None, None, None, "counted")
            for split, name, found in result.measured():
                yield head._replace(
                    split=split,
                    figure=name,
                    value=found.value,
                    standard_error=found.standard_error,
                    unit=found.unit,
                    images=found.images,
                    samples=found.samples,
                    bound=found.bound,
                    estimator=found.estimator,
                )
            for name, value, unit in _spent(result, report.cost):
                yield head._replace(figure=name, value=value, unit=unit)


def _spent(result: Result, cost: Cost | None) -> Iterator[tuple[str, float, str]]:
    hours, unit = hours_of(result.metrics)
    yield "training_seconds", result.metrics["seconds"], "s"
    yield "training_hours", hours, unit
    if cost is not None:
        yield "guide_parameters", cost.guide_parameters, "parameters"
        yield "model_parameters", cost.model_parameters, "parameters"


def as_csv(comparison: Comparison) -> str:
    """The file; a value that is missing or not finite is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Row._fields)
    writer.writerows([_plain(value) for value in row] for row in rows(comparison))
    return text.getvalue()


def _plain(value: Any) -> Any:
    return "" if value is None or (isinstance(value, float) and not math.isfinite(value)) else value
