"""The results of finished runs: metrics of each image from their folders, and the cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from pyro_vae.compare.grid import Trial
from pyro_vae.errors import InputError
from pyro_vae.evaluate.ledger import Ledger, entry_of, joined
from pyro_vae.evaluate.report import worth
from pyro_vae.runs import RunFolder, load


class Figure(NamedTuple):
    """A metric to compare, nats per image.

    Attributes:
        measure: of ``evaluate``, which computes it.
        title: in words.
        better: whether higher or lower is better, or "neither".
    """

    measure: str
    title: str
    better: str


FIGURES = {
    "elbo": Figure("elbo", "ELBO", "higher"),
    "iwae": Figure("iwae", "IWAE bound on log p(x)", "higher"),
    "log_evidence": Figure("evidence", "log p(x), annealed", "higher"),
    "log_likelihood": Figure("elbo", "log-likelihood E_q[log p(x|z)]", "neither"),
    "kl": Figure("elbo", "KL(q(z|x) || p(z))", "neither"),
    "inference_gap": Figure("gap", "inference gap", "lower"),
    "approximation_gap": Figure("gap", "approximation gap", "lower"),
    "amortization_gap": Figure("gap", "amortization gap", "lower"),
}


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
        return self.metrics["seconds" if self.metrics["environment"]["cuda"] else "core_seconds"] / 3600

    @property
    def directions(self) -> float | None:
        """The number of directions of z that the images move (:func:`pyro_vae.estimators.active_units`), if it was
        measured."""
        units = self.metrics.get("evaluation", {}).get("test", {}).get("units", {})
        found = units.get("figures", {}).get("active_directions")
        return found["value"] if found else None

    @property
    def certified(self) -> str:
        """The quality of this run's log p(x), in words."""
        record = self.metrics.get("evaluation", {}).get("simulated", {}).get("certificate")
        return worth(None if record is None else entry_of(record))


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
    for name, figure in FIGURES.items():
        entry = entries.get(figure.measure)
        if entry is None or "figures" not in entry:
            continue
        pieces, _ = ledger.begun("test", figure.measure, entry["settings"])
        if not pieces:
            raise InputError(f"{trial.path} has lost the figures of single images: measure it anew with evaluate")
        values = joined(pieces).figures[name].per_image
        assert values is not None
        per_image[name] = values.numpy()
    return Result(trial, per_image, metrics)


def check_alike(results: Sequence[Result]) -> None:
    """Check that metrics were measured in the same way, because only then their differences have a meaning.

    Raises:
        InputError: naming two runs with different images or settings.
    """
    for measure in dict.fromkeys(figure.measure for figure in FIGURES.values()):
        seen: dict[str, tuple[Any, str]] = {}
        for result in results:
            entry = result.metrics.get("evaluation", {}).get("test", {}).get(measure)
            if entry is None or "figures" not in entry:
                continue
            settings = _chosen_by_the_user(entry["settings"])
            first, name = seen.setdefault(measure, (settings, result.trial.name))
            if settings != first:
                other = sorted(key for key in settings if settings[key] != first.get(key))
                raise InputError(
                    f"{measure} of {result.trial.name} and of {name} were measured with other {', '.join(other)}:"
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
    unit = "GPU-hour" if results[0].metrics["environment"]["cuda"] else "core-hour"
    seconds = fmean(result.metrics["seconds"] for result in results)
    return Cost(seconds, fmean(result.hours for result in results), unit, guide, model)
