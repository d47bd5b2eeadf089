"""From the results of runs to what is claimed about arms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pyro_vae.compare.pooling import MOST_SEEDS, pool
from pyro_vae.compare.results import Cost, Result, check_alike, cost
from pyro_vae.compare.statistics import Interval, Shared, difference, interval, ranks
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
    comparisons = max(1, sum(bool(runs) for arm, runs in by_arm.items() if arm != baseline))
    shared = {name: _shared(by_arm, name, baseline) for name in compared()}
    reports = {}
    for arm, runs in by_arm.items():
        figures, differences = {}, {}
        for name in compared():
            having = {seed: r.per_image[name] for seed, r in runs.items() if name in r.per_image}
            if not having:
                continue
            figures[name] = interval(np.stack(list(having.values())), confidence)
            others = {seed: r.per_image[name] for seed, r in by_arm[baseline].items() if name in r.per_image}
            both = [seed for seed in having if seed in others]
            if arm != baseline and both:
                ours, theirs = (np.stack([side[seed] for seed in both]) for side in (having, others))
                differences[name] = difference(ours, theirs, confidence, comparisons, shared[name].get(arm))
        known = cost(list(runs.values())) if runs else None
        reports[arm] = ArmReport(arm, runs, figures, differences, ranked[arm], known)
    return reports


def _shared(by_arm: Mapping[str, Mapping[int, Result]], name: str, baseline: str) -> dict[str, Shared]:
    """For the arms that are pooled with the baseline, what they share.

    Only arms that have the figure for the same seeds are pooled: those of the baseline.
    """
    having = {
        arm: {s: r.per_image[name] for s, r in runs.items() if name in r.per_image} for arm, runs in by_arm.items()
    }
    seeds = sorted(having[baseline])
    alike = [arm for arm, values in having.items() if seeds and sorted(values) == seeds]
    found = pool(np.array([[having[arm][seed].mean() for seed in seeds] for arm in alike])) if alike else None
    if found is None:
        return {}
    return {arm: Shared(found, row, alike.index(baseline)) for row, arm in enumerate(alike) if arm != baseline}


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


def worst_certificate(report: ArmReport) -> str:
    """What log p(x) of an arm is worth: the words of the run whose bracket is the widest."""

    def width(result: Result) -> float:
        record = result.metrics["evaluation"].get("simulated", {}).get("certificate", {})
        return record["figures"]["certified_to"]["value"] if "figures" in record else float("inf")

    return max(report.results.values(), key=width).certified


def certified_evidence(report: ArmReport) -> str:
    """log p(x) of an arm, over which images, the ELBO of the same ones, and what the number is worth."""
    found, pairs = report.figures["log_evidence"], []
    for result in report.results.values():
        if "log_evidence" in result.per_image and "elbo" in result.per_image:
            pairs.append(result.per_image["elbo"][: len(result.per_image["log_evidence"])].mean())
    elbo = f", where the ELBO is {np.mean(pairs):.2f}" if pairs else ""
    return f"log p(x) of the first {found.images:,} images = {found.value:.2f}{elbo}, {worst_certificate(report)}"


def could_have_shown(found: Interval) -> str:
    """Beside "no difference shown": what would have been, and what it takes to show the one seen."""
    if found.smallest is None:
        return ""
    more = f"{found.more_seeds} seeds" if found.more_seeds is not None else f"no {MOST_SEEDS} seeds"
    return f"; {found.smallest:.2f} would have been, four times in five, and {more} would show the one seen"


def in_words(reports: Mapping[str, ArmReport], baseline: str) -> list[str]:
    """One sentence for each arm: is its ELBO higher than the baseline's, by how much, at what cost, using how much?"""
    sentences = []
    base, moved = reports[baseline].results, reports[baseline].directions
    for arm, report in reports.items():
        if arm == baseline:
            continue
        found = report.differences.get("elbo")
        if found is None:
            sentences.append(f"{arm}: not compared, for lack of runs with an ELBO that {baseline} has too.")
            continue
        span = f"{found.low:+.2f} to {found.high:+.2f}, over {found.images:,} images"
        if found.verdict == "no difference shown":
            reach = could_have_shown(found)
            sentence = f"{arm}: no difference shown to {baseline} ({found.value:+.2f} nats per image, {span}{reach})"
        else:
            sentence = (
                f"{arm}: ELBO {found.verdict} than {baseline}'s by {abs(found.value):.2f} nats per image ({span})"
            )
        times = [result.hours / base[seed].hours for seed, result in report.results.items() if seed in base]
        if times:
            span = f"{min(times):.2g}" if len(times) == 1 else f"{min(times):.2g} to {max(times):.2g}"
            sentence += f"; core or GPU hours of training {span} times its own, seed by seed"
        if "log_evidence" in report.figures:
            sentence += f"; {certified_evidence(report)}"
        if report.directions is not None and moved is not None:
            sentence += f"; images move {report.directions:.1f} directions of z, {baseline}'s {moved:.1f}"
        if found.seeds == 1:
            sentence += "; of one seed only, which says nothing about other trainings"
        sentences.append(sentence + ".")
    return sentences
