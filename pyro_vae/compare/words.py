"""The answers of a comparison, in sentences: which arm, why, how sure, at what cost.

Cost is in core-hours or GPU-hours, because seconds on a clock are also those of the machine's other work.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pyro_vae.compare.analysis import ArmReport
from pyro_vae.compare.diagnosis import judged
from pyro_vae.compare.pooling import MOST_SEEDS
from pyro_vae.compare.results import Result
from pyro_vae.compare.statistics import Interval
from pyro_vae.compare.verdict import Verdict
from pyro_vae.observation import spoken
from pyro_vae.tables import figure

MOST_NAMED = 5  #: arms in one list of a sentence


class Answers(NamedTuple):
    """Sentences under each question; a question without an answer has none.

    Attributes:
        headline: the verdict on all arms, in one sentence.
    """

    headline: str
    which: Sequence[str]
    why: Sequence[str]
    sure: Sequence[str]
    cost: Sequence[str]

    @property
    def lines(self) -> list[str]:
        """All of it, a sentence a line."""
        return [self.headline, *self.which, *self.why, *self.sure, *self.cost]

    def spoken(self, one: str) -> "Answers":
        """The same with the word for what one x is: :func:`pyro_vae.observation.spoken`."""
        rest = ([spoken(line, one) for line in lines] for lines in self[1:])
        return Answers(spoken(self.headline, one), *rest)


def answers(found: Verdict, reports: Mapping[str, ArmReport], confidence: float, waiting: int = 0) -> Answers:
    """The answers.

    Args:
        found: the verdict on all arms.
        reports: by arm.
        confidence: of the intervals.
        waiting: runs that have neither finished nor failed.
    """
    headline = _headline(found)
    if waiting:
        headline = f"So far: {headline} {waiting} {'run is' if waiting == 1 else 'runs are'} not finished."
    return Answers(
        headline, _which(found, reports, confidence), _why(found, reports), _sure(found, confidence), _cost(reports)
    )


def listed(names: Sequence[str]) -> str:
    """Names in a sentence; between semicolons where they have commas of their own.

    >>> listed(["a", "b", "c"]), listed(["IAF, lr=0.1", "IAF, lr=1"])
    ('a, b and c', 'IAF, lr=0.1; IAF, lr=1')
    """
    if any("," in name for name in names):
        return _joined(names)
    names = [*names[:MOST_NAMED], f"{len(names) - MOST_NAMED} more"] if len(names) > MOST_NAMED + 1 else list(names)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _joined(parts: Sequence[str]) -> str:
    """Parts of a sentence that have commas of their own; of many, the first and how many more there are."""
    more = [f"{len(parts) - MOST_NAMED} more arms in the report"] if len(parts) > MOST_NAMED + 1 else []
    return "; ".join([*parts[:MOST_NAMED], *more] if more else parts)


def _headline(found: Verdict) -> str:
    leader = found.leader
    if leader is None:
        return "No run has an ELBO, so nothing is compared."
    if not found.against:
        return f"{leader} has no other arm to be compared with."
    if found.seeds == 1:
        return "One seed cannot show which arm is the best."
    if found.undecided:
        return f"Undecided: {leader} leads, and {listed(found.undecided)} may be as good or better."
    if found.tied:
        return f"{listed([leader, *found.tied])} are tied for the best."
    return f"{leader} is the best."


def _which(found: Verdict, reports: Mapping[str, ArmReport], confidence: float) -> list[str]:
    leader, lines = found.leader, []
    if leader is None:
        return []
    if found.seeds == 1:
        elbos = {arm: reports[arm].figures["elbo"].value for arm in (leader, *found.against)}
        order = [f"{arm} ({figure(elbos[arm])})" for arm in sorted(elbos, key=lambda arm: -elbos[arm])]
        lines.append(f"ELBO of this seed, in nats per image: {listed(order)}. Another seed may turn the order.")
    over = f"over {next(iter(found.against.values())).images:,} images" if found.against else ""
    if found.behind:
        lines.append(
            f"Behind {leader}, and not the best, shown at {confidence:.0%} {over}: {_with_spans(found, found.behind)}."
        )
    if found.tied:
        within = f"{found.margin:g} nats per image"
        lines.append(
            f"Tied with {leader}, the difference being smaller than {within} {over}: {_with_spans(found, found.tied)}."
        )
    if found.undecided and found.seeds > 1:
        lines.append(f"Undecided against {leader}, {over}: {_with_spans(found, found.undecided)}.")
    if found.apart:
        lines.append(f"Not compared, for lack of a finished run with a seed of {leader}'s: {listed(found.apart)}.")
    return lines


def _with_spans(found: Verdict, arms: Sequence[str]) -> str:
    return listed([f"{arm} ({difference_words(found.against[arm])})" for arm in arms])


def difference_words(found: Interval) -> str:
    """A difference with its interval, in words."""
    return f"{figure(found.value, '+')} nats per image, {figure(found.low, '+')} to {figure(found.high, '+')}"


def _why(found: Verdict, reports: Mapping[str, ArmReport]) -> list[str]:
    return [*_from_where(found), *_lost(reports), *_missed(reports), *_evidence(reports)]


def _from_where(found: Verdict) -> list[str]:
    """The parts of the differences to the leader, in one sentence; none where no gap was measured."""
    parts = {arm: found.parts[arm] for arm in [*found.behind, *found.undecided, *found.tied] if arm in found.parts}
    if not parts:
        return []
    words = [
        f"{arm} {figure(source.elbo.value, '+')} ({_part(source.model)} by its model's log p(x),"
        f" {_part(source.family)} by its family, {_part(source.encoder)} by its encoder)"
        for arm, source in parts.items()
    ]
    images = next(iter(parts.values())).images
    return [f"ELBO minus {found.leader}'s, on the {images} images with a measured gap: {_joined(words)}."]


def _part(found: Interval) -> str:
    """A part of a difference, and whether it is shown; of one seed, nothing is."""
    open_ = found.seeds > 1 and found.verdict == "no difference shown"
    return figure(found.value, "+") + (" (not shown)" if open_ else "")


def _lost(reports: Mapping[str, ArmReport]) -> list[str]:
    """What the posteriors lose and by what, in one sentence; none where no gap was measured."""
    gaps = {arm: report.figures for arm, report in reports.items() if "inference_gap" in report.figures}
    if not gaps:
        return []
    parts = {
        arm: [found[f"{part}_gap"].value for part in ("inference", "approximation", "amortization")]
        for arm, found in gaps.items()
    }
    words = [
        f"{arm} {figure(whole)} ({figure(family)} by its family, {figure(encoder)} by its encoder)"
        for arm, (whole, family, encoder) in parts.items()
    ]
    larger = {family > encoder for _, family, encoder in parts.values()}
    where = {True: "family", False: "encoder"}
    cure = f", so more is to be won by the {where[larger.pop()]}" if len(larger) == 1 else ""
    return [f"Nats lost to the true posterior (the inference gap): {listed(words)}{cure}."]


def _missed(reports: Mapping[str, ArmReport]) -> list[str]:
    """What the guides miss of the true posterior, in one sentence; none where it was not measured."""
    parts = list(judged(reports).values())
    return [f"Of the true posterior, q's densest 90% hold: {_joined(parts)}."] if parts else []


def _evidence(reports: Mapping[str, ArmReport]) -> list[str]:
    """log p(x) of the arms and what it is worth, in one sentence; none where it was not measured."""
    found = {arm: report for arm, report in reports.items() if "log_evidence" in report.figures}
    if not found:
        return []
    images = next(iter(found.values())).figures["log_evidence"].images
    words = [_evidence_of(arm, report) for arm, report in found.items()]
    return [f"log p(x) of the first {images:,} test images: {_joined(words)}."]


def _evidence_of(arm: str, report: ArmReport) -> str:
    """log p(x) of an arm, the ELBO of the same images, and what the number is worth."""
    elbos = [
        r.per_image["elbo"][: len(r.per_image["log_evidence"])].mean()
        for r in report.results.values()
        if "log_evidence" in r.per_image and "elbo" in r.per_image
    ]
    beside = f", their ELBO {figure(sum(elbos) / len(elbos))}" if elbos else ""
    return f"{arm} {figure(report.figures['log_evidence'].value)}{beside}, {worst_certificate(report)}"


def worst_certificate(report: ArmReport) -> str:
    """What log p(x) of an arm is worth: the words of the run whose bracket is the widest."""

    def width(result: Result) -> float:
        record = result.metrics["evaluation"].get("simulated", {}).get("certificate", {})
        return record["figures"]["certified_to"]["value"] if "figures" in record else float("inf")

    return max(report.results.values(), key=width).certified


def _sure(found: Verdict, confidence: float) -> list[str]:
    if not found.against:
        return []
    if found.seeds == 1:
        return ["One seed says nothing about other trainings: take three or more, --seeds 3."]
    images = next(iter(found.against.values())).images
    lines = []
    if found.smallest is not None:
        lines.append(
            f"{found.seeds} seeds and {images:,} images can show a difference of {figure(found.smallest)} nats"
            f" per image or more, four times in five, at {confidence:.0%}."
        )
    lines += [_seeds_words(arm, found) for arm in found.undecided]
    return lines


def _seeds_words(arm: str, found: Verdict) -> str:
    seen = found.against[arm]
    what = f"the difference seen between {arm} and {found.leader}, {figure(seen.value, '+')} nats"
    if seen.more_seeds is None:
        return f"Even {MOST_SEEDS} seeds would not show {what}: take more images, or count the two as equal."
    return f"To show {what}, take --seeds {seen.more_seeds}."


def _cost(reports: Mapping[str, ArmReport]) -> list[str]:
    costs = {arm: report.cost for arm, report in reports.items() if report.cost is not None}
    if not costs:
        return []
    first = next(iter(costs.values()))
    words = []
    for arm, cost in costs.items():
        times = "" if cost is first or not first.hours else f", {cost.hours / first.hours:.1f} times"
        words.append(f"{arm} ({cost.hours:.2g}{times})")
    return [f"{first.unit.capitalize().replace('Gpu', 'GPU')}s of training, a run: {listed(words)}."]
