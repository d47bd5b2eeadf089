"""From the results of runs to what is claimed about arms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pyro_vae.compare.results import Cost, Result, check_alike, cost
from pyro_vae.compare.statistics import Interval, differences, interval, ranks
from pyro_vae.metrics import compared


@dataclass(frozen=True)
class ArmReport:
    """All about one arm.

    Attributes:
        results: its finished runs, by seed.
        figures: mean and interval of each figure.
        differences: to the baseline, paired; empty for the baseline itself.
        ranks: 1 for the highest ELBO, for each seed in which all arms have finished.
    """

    name: str
    results: Mapping[int, Result]
    figures: Mapping[str, Interval]
    differences: Mapping[str, Interval]
    ranks: Mapping[int, float]
    cost: Cost | None

    @property
    def mean_rank(self) -> float | None:
        return float(np.mean(list(self.ranks.values()))) if self.ranks else None

    @property
    def directions(self) -> float | None:
        """How many directions of z the images move, mean over the seeds that have it; fewer than D are a collapse."""
        found = [r.directions for r in self.results.values() if r.directions is not None]
        return float(np.mean(found)) if found else None

    @property
    def gain_per_hour(self) -> float | None:
        """Nats of ELBO above the baseline for each hour of training; None where no difference is shown."""
        gain = self.differences.get("elbo")
        if gain is None or self.cost is None or gain.verdict == "no difference shown":
            return None
        return gain.value / self.cost.hours


def analyse(
    arms: Sequence[str], results: Sequence[Result], baseline: str, confidence: float = 0.95
) -> dict[str, ArmReport]:
    """Compare arms; the intervals of one figure's differences hold all together with this confidence.

    Args:
        arms: all names, also of arms none of whose runs has finished.
        results: of the finished runs.
        baseline: the arm that differences are taken to.

    Raises:
        InputError: if figures were not obtained in the same way.
    """
    check_alike(results)
    by_arm = {arm: {r.trial.seed: r for r in results if r.trial.arm == arm} for arm in arms}
    ranked = _ranked(by_arm)
    found = {name: to_base(by_arm, name, baseline, confidence) for name in compared()}
    reports = {}
    for arm, runs in by_arm.items():
        having = {name: _having(runs, name) for name in compared()}
        figures = {
            name: interval(np.stack(list(values.values())), confidence) for name, values in having.items() if values
        }
        to_baseline = {name: of_arms[arm] for name, of_arms in found.items() if arm in of_arms}
        known = cost(list(runs.values())) if runs else None
        reports[arm] = ArmReport(arm, runs, figures, to_baseline, ranked[arm], known)
    return reports


def _having(runs: Mapping[int, Result], name: str) -> dict[int, np.ndarray]:
    """The figure of each image, by seed, in the runs that have it."""
    return {seed: r.per_image[name] for seed, r in runs.items() if name in r.per_image}


def to_base(by_arm: Mapping[str, Mapping[int, Result]], name: str, base: str, confidence: float) -> dict[str, Interval]:
    """The paired difference of one figure to one arm, for each other arm that shares a seed with it.

    Args:
        by_arm: for each arm its results, by seed.
        base: the arm that differences are taken to.
        confidence: with which the intervals hold all together.
    """
    comparisons = max(1, sum(bool(runs) for arm, runs in by_arm.items() if arm != base))
    having = {arm: _having(runs, name) for arm, runs in by_arm.items()}
    return differences(having, base, confidence, comparisons)


def _ranked(by_arm: Mapping[str, Mapping[int, Result]]) -> dict[str, dict[int, float]]:
    """The ranks of the arms that have an ELBO, in the seeds that all of them have."""
    elbos = {
        arm: {seed: float(r.per_image["elbo"].mean()) for seed, r in runs.items() if "elbo" in r.per_image}
        for arm, runs in by_arm.items()
    }
    finished = [arm for arm, values in elbos.items() if values]
    common = sorted(set.intersection(*(set(elbos[arm]) for arm in finished))) if finished else []
    table = ranks(np.array([[elbos[arm][seed] for seed in common] for arm in finished])) if common else np.empty((0, 0))
    found: dict[str, dict[int, float]] = {arm: {} for arm in by_arm}
    for arm, row in zip(finished, table, strict=False):
        found[arm] = dict(zip(common, row.tolist(), strict=True))
    return found
