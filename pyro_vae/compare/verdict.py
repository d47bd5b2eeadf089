"""Which arms may be the best, which are shown not to be, and how much the grid could have shown.

Each arm is held against the leader, the arm with the highest mean ELBO. An arm whose difference is shown is *behind*.
The critical values are those of comparisons with one control. They hold for every choice of the control. So the arm
that is truly the best is called behind with at most the error probability of the intervals (Hsu 1981, multiple
comparisons with the best). Of the others, an arm is *tied* with the leader where its whole
interval lies within the margin, the difference that matters to the user; where not, it is *undecided*.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from pyro_vae.compare.analysis import ArmReport, to_base
from pyro_vae.compare.statistics import Interval
from pyro_vae.compare.why import Source, sources

MARGIN = 0.5  #: nats per image


class Verdict(NamedTuple):
    """What is said of all arms together.

    Attributes:
        leader: the arm with the highest mean ELBO; None where no run has an ELBO.
        tied: arms whose difference to it is shown to be smaller than the margin.
        undecided: arms that may be better than the leader, or worse by more than the margin.
        behind: arms that are shown not to be the best. That one of them is lower than this leader is claimed with less
            confidence: the data chose the leader.
        apart: arms that have no run with a seed of the leader's.
        against: the differences of the other arms to the leader.
        parts: of these differences, where the gap was measured.
        seeds: the fewest in a comparison; 0 where there is none.
        margin: the difference in ELBO that matters, nats per image.
    """

    leader: str | None
    tied: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()
    against: Mapping[str, Interval] = {}
    parts: Mapping[str, Source] = {}
    seeds: int = 0
    margin: float = MARGIN

    @property
    def smallest(self) -> float | None:
        """The smallest difference that every comparison would have shown, four times in five; nats."""
        found = [one.smallest for one in self.against.values() if one.smallest is not None]
        return max(found) if found else None

    def place(self, arm: str) -> str:
        """The place of an arm, in a word or two."""
        if arm == self.leader and self.against:
            return "highest of one seed" if self.seeds == 1 else "leads" if self.tied + self.undecided else "best"
        if self.seeds == 1 and arm in self.against:
            return "one seed: open"
        groups = {"tied": self.tied, "undecided": self.undecided, "behind": self.behind}
        return next((name for name, arms in groups.items() if arm in arms), "not compared")


def verdict(reports: Mapping[str, ArmReport], confidence: float, margin: float = MARGIN) -> Verdict:
    """The verdict on all arms.

    Args:
        reports: by arm.
        confidence: with which it holds.
        margin: the difference in ELBO that matters, nats per image.
    """
    having = {arm: report for arm, report in reports.items() if "elbo" in report.figures}
    if not having:
        return Verdict(None, margin=margin)
    leader = max(having, key=lambda arm: _mean(having, arm))
    results = {arm: report.results for arm, report in having.items()}
    against = to_base(results, "elbo", leader, confidence)
    parts = sources(results, leader, confidence)
    behind = tuple(arm for arm, found in against.items() if found.verdict == "lower")
    others = [arm for arm in against if arm not in behind]
    tied = tuple(arm for arm in others if -margin < against[arm].low and against[arm].high < margin)
    seeds = min((found.seeds for found in against.values()), default=0)
    if seeds == 1:  # the interval is over images alone, and shows nothing of other trainings
        tied = behind = ()
        others = list(against)
    undecided = tuple(arm for arm in others if arm not in tied)
    apart = tuple(arm for arm in reports if arm != leader and arm not in against)
    return Verdict(leader, tied, undecided, behind, apart, against, parts, seeds, margin)


def _mean(reports: Mapping[str, ArmReport], arm: str) -> float:
    """The mean ELBO of an arm over the seeds that all arms have, or over its own where they have none in common."""
    elbos = {
        name: {seed: r.per_image["elbo"].mean() for seed, r in report.results.items() if "elbo" in r.per_image}
        for name, report in reports.items()
    }
    common = set.intersection(*(set(of_seeds) for of_seeds in elbos.values()))
    return float(np.mean([value for seed, value in elbos[arm].items() if seed in common or not common]))
