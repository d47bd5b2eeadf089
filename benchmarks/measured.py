"""Runs of one guide on MNIST with several seeds, what ``evaluate`` says of them, and their differences to others."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.guides import trained
from guides import GUIDES
from pyro_vae.compare.statistics import Interval, differences, interval
from pyro_vae.evaluate.ledger import Ledger
from pyro_vae.runs import RunFolder

CONFIDENCE = 0.95


class Place(NamedTuple):
    """Where ``metrics.json`` has an estimate: on which images, of which metric, and its name."""

    source: str
    metric: str
    name: str


LOG_P = Place("test", "evidence", "log_evidence")
CERTIFIED = Place("simulated", "certificate", "certified_to")


@dataclass(frozen=True)
class Measured:
    """The runs of one arm, one for each seed from 0 on."""

    guide: str
    folders: Sequence[RunFolder]

    def figures(self, place: Place) -> list[dict[str, Any]]:
        """One estimate of all seeds that have it."""
        evaluations = [folder.read_metrics()["evaluation"] for folder in self.folders]
        entries = [evaluation.get(place.source, {}).get(place.metric, {}) for evaluation in evaluations]
        return [entry["figures"][place.name] for entry in entries if place.name in entry.get("figures", {})]

    def mean(self, place: Place) -> float:
        """Of an estimate, over seeds."""
        return float(np.mean([figure["value"] for figure in self.figures(place)]))

    def by_seed(self, place: Place) -> dict[int, np.ndarray]:
        """An estimate of each image, ``(N,)``, by seed."""
        return {seed: _per_image(folder, place) for seed, folder in enumerate(self.folders)}

    def per_image(self, place: Place) -> np.ndarray:
        """An estimate of each seed and image, ``(S, N)``."""
        return np.stack(list(self.by_seed(place).values()))

    @property
    def certified_to(self) -> float:
        """Of the seed that is certified worst, nats."""
        return max(figure["value"] for figure in self.figures(CERTIFIED))

    def in_words(self, place: Place, digits: int = 2) -> str:
        """The mean with its standard error over images, and over seeds where there are several."""
        if not self.figures(place):
            return "not defined"
        values = self.per_image(place)
        if values.shape[1] < 2:
            return f"{values.mean():.{digits}f}"
        found = interval(values)
        return f"{found.value:.{digits}f} ± {error_of(found):.{digits}f}"


def error_of(found: Interval) -> float:
    """The standard error of both causes, images and seeds."""
    return float(np.hypot(found.image_error, found.seed_error or 0.0))


def _per_image(folder: RunFolder, place: Place) -> np.ndarray:
    settings = folder.read_metrics()["evaluation"][place.source][place.metric]["settings"]
    found = Ledger(folder).per_image(place.source, place.metric, settings, place.name)
    assert found is not None
    return found.numpy()


def gains(
    arms: Sequence[Measured], baseline: Measured, place: Place, comparisons: int | None = None
) -> dict[str, Interval]:
    """The paired differences of an estimate to the baseline, by ``compare``'s statistics: seeds pooled over the arms.

    Args:
        comparisons: how many intervals hold together; by default these.
    """
    values = {arm.guide: arm.by_seed(place) for arm in arms}
    return differences(values, baseline.guide, CONFIDENCE, comparisons)


def span(found: Interval, digits: int = 2) -> str:
    """A difference with its interval."""
    return f"{found.value:+.{digits}f} [{found.low:+.{digits}f}, {found.high:+.{digits}f}]"


def add_runs(parser: argparse.ArgumentParser, guides: Sequence[str], seeds: int = 1) -> None:
    """The options that say which runs there are."""
    parser.add_argument("--data-root", type=Path, required=True, help="the folder with MNIST/raw")
    parser.add_argument("--out", type=Path, default=Path("runs/evidence"), help="where the run folders are")
    parser.add_argument("--guides", nargs="+", default=list(guides))
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--images", type=int, default=100, help="paired test images")


def runs_of(name: str, options: argparse.Namespace, *words: str) -> list[RunFolder]:
    """The finished runs of an arm, one for each seed; what is there is not trained again.

    Args:
        name: of the arm: that of the folder of seed 0.
        words: the options of training that make it.
    """
    folders, engine = [], "cudagraph" if torch.cuda.is_available() else "compiled"
    for seed in range(options.seeds):
        path = options.out / (name if seed == 0 else f"{name}-seed-{seed}")
        common = ["--epochs", str(options.epochs), "--seed", str(seed), "--engine", engine]
        folders.append(trained(path, options.data_root, *words, *common))
    return folders


def refusal(guide: str) -> str | None:
    """Why a guide is in no table of evidence, in words; None where it is."""
    if not GUIDES[guide].has_density:
        return f"{guide} is refused: it has no density, so that its training maximises no bound on log p(x)."
    return None


def seeds_in_words(count: int) -> str:
    return "one seed" if count == 1 else f"{count} seeds"
