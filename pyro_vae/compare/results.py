"""The results of finished runs: metrics of each image from their folders, and the cost."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from pyro_vae.compare.grid import Trial
from pyro_vae.errors import InputError
from pyro_vae.estimators.estimate import Estimate
from pyro_vae.evaluate.ledger import Ledger, entry_of
from pyro_vae.evaluate.report import worth
from pyro_vae.metrics import compared
from pyro_vae.runs import RunFolder, load


@dataclass(frozen=True)
class Result:
    """One finished run.

    Attributes:
        per_image: for each metric of the run, its value on each test image, ``(images,)``, nats.
        metrics: ``metrics.json``.
    """

    trial: Trial
    per_image: Mapping[str, np.ndarray]
    metrics: Mapping[str, Any]

    @property
    def hours(self) -> float:
        """Hours of training: of a GPU, or busy hours of a core."""
        return hours_of(self.metrics)[0]

    @property
    def directions(self) -> float | None:
        """The number of directions of z that the images move (:func:`pyro_vae.estimators.active_units`), if it was
        measured."""
        units = self.metrics.get("evaluation", {}).get("test", {}).get("units", {})
        found = units.get("figures", {}).get("active_directions")
        return found["value"] if found else None

    def measured(self) -> Iterator[tuple[str, str, Estimate]]:
        """Every estimate that ``evaluate`` has made of the run: on which images, its name, and the estimate."""
        for split, entries in self.metrics.get("evaluation", {}).items():
            for record in entries.values():
                for name, found in entry_of(record).estimates.items():
                    yield split, name, found

    @property
    def certified(self) -> str:
        """The quality of this run's log p(x), in words."""
        record = self.metrics.get("evaluation", {}).get("simulated", {}).get("certificate")
        return worth(None if record is None else entry_of(record))


def hours_of(metrics: Mapping[str, Any]) -> tuple[float, str]:
    """The hours of training in a ``metrics.json`` and their unit: of a GPU, or busy hours of a core."""
    if metrics.get("environment", {}).get("cuda"):
        return metrics["seconds"] / 3600, "GPU-hour"
    return metrics["core_seconds"] / 3600, "core-hour"


def read(trial: Trial) -> Result:
    """The result of a finished and measured run.

    Raises:
        InputError: if its folder lacks a file or an entry.
    """
    folder = RunFolder(trial.path)
    metrics = folder.read_metrics()
    entries = metrics.get("evaluation", {}).get("test", {})
    ledger = Ledger(folder)
    per_image = {}
    for name, shown in compared().items():
        entry = entries.get(shown.metric)
        if entry is None or "figures" not in entry:
            continue
        values = ledger.per_image("test", shown.metric, entry["settings"], name)
        if values is None:
            raise InputError(f"{trial.path} has lost the values of single images: measure it anew with evaluate")
        per_image[name] = values.numpy()
    return Result(trial, per_image, metrics)


def check_alike(results: Sequence[Result]) -> None:
    """Check that metrics were measured in the same way, because only then their differences have a meaning.

    Raises:
        InputError: naming two runs with different images or settings.
    """
    for metric in dict.fromkeys(shown.metric for shown in compared().values()):
        seen: dict[str, tuple[Any, str]] = {}
        for result in results:
            entry = result.metrics.get("evaluation", {}).get("test", {}).get(metric)
            if entry is None or "figures" not in entry:
                continue
            settings = _chosen_by_the_user(entry["settings"])
            first, name = seen.setdefault(metric, (settings, result.trial.name))
            if settings != first:
                other = sorted(key for key in settings if settings[key] != first.get(key))
                raise InputError(
                    f"{metric} of {result.trial.name} and of {name} were measured with other {', '.join(other)}:"
                    " they cannot be compared"
                )


def _chosen_by_the_user(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without the weights, and without the temperatures of log p(x), which each run's certificate chooses."""
    kept = {name: value for name, value in settings.items() if name != "weights"}
    if "search" in kept:
        kept["annealing"] = {name: value for name, value in kept["annealing"].items() if name != "temperatures"}
    if "evidence" in kept:
        kept["evidence"] = _chosen_by_the_user(kept["evidence"])
    return kept


class Cost(NamedTuple):
    """The cost of one run of an arm, means over its seeds.

    Attributes:
        seconds: of training, without held-out measures and pictures.
        hours: of training, of GPUs, or busy hours of cores.
        unit: "core-hour" or "GPU-hour".
    """

    seconds: float
    hours: float
    unit: str
    guide_parameters: int
    model_parameters: int


def cost(results: Sequence[Result]) -> Cost:
    """The cost of an arm from its runs."""
    run = load(results[0].trial.path, trust=True)  # these processes trained it, from checked options
    guide, model = (sum(p.numel() for p in part.parameters()) for part in (run.guide, run.model))
    unit = hours_of(results[0].metrics)[1]
    seconds = fmean(result.metrics["seconds"] for result in results)
    return Cost(seconds, fmean(result.hours for result in results), unit, guide, model)
