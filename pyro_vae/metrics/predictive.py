"""Predictive checks: do the model's images look like the data?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyro_vae.estimators import Estimate, PredictiveCheck, posterior_check, prior_check
from pyro_vae.estimators.predictive import QUANTITIES, TAIL
from pyro_vae.estimators.uniformity import rank_test
from pyro_vae.metrics.base import Finding, Metric, Task, require_at_least
from pyro_vae.metrics.options import Options

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVEL = 0.01  #: of the prior predictive check
KINDS = ("prior", "posterior")
NAMES = {name: name.replace(" of pixels", "").replace(" ", "_") for name in QUANTITIES}


@dataclass(frozen=True)
class Predictive(Metric):
    """Prior and posterior predictive checks: brightness, contrast and roughness of images among drawn ones.

    Args:
        count: number of images, the first ones.
        draws: images that are drawn for each image, from the prior and from q.

    References:
        docs/posterior.md.
    """

    name = "predictive"
    place = 85
    picture_name = "predictive"
    picture_title = "Predictive checks"
    picture_alt = "Statistics of the model's images beside those of the data"

    count: int = 200
    draws: int = 99

    def __post_init__(self) -> None:
        require_at_least(self, count=1, draws=1)

    def images(self, options: Options) -> int | None:
        return self.count if options.images is None else min(self.count, options.images)

    def measure(self, task: Task) -> Finding:
        model, guide = task.run.model, task.run.guide
        checks = {
            "prior": prior_check(model, task.x, num_samples=self.draws, seed=task.seed),
            "posterior": posterior_check(model, guide, task.x, num_samples=self.draws, seed=task.seed),
        }
        estimates = {
            f"{kind}_unusual_{NAMES[name]}": share
            for kind, check in checks.items()
            for name, share in zip(QUANTITIES, check.outside, strict=True)
        }
        how = f"ECDF of the ranks of {', '.join(QUANTITIES)}; simultaneous, Bonferroni over {len(QUANTITIES)}"
        prior = checks["prior"].test.p_value
        estimates["prior_predictive_p"] = Estimate(prior, None, how, self.draws, len(task.x), unit="p-value")
        return Finding(estimates, {kind: check.test.ranks for kind, check in checks.items()})

    def picture(self, found: Finding) -> "Figure | None":
        from pyro_vae.rank_pictures import predictive_picture

        def check(kind: str) -> PredictiveCheck:
            shares = tuple(found.estimates[f"{kind}_unusual_{NAMES[name]}"] for name in QUANTITIES)
            return PredictiveCheck(rank_test(list(QUANTITIES), found.arrays[kind], self.draws), shares)

        return predictive_picture(*(check(kind) for kind in KINDS))

    def sentences(self, found: Mapping[str, Estimate]) -> list[str]:
        if found["prior_predictive_p"].value >= LEVEL:
            return ["In brightness, contrast and roughness the model's images are like the data."]
        shares = {name: found[f"prior_unusual_{NAMES[name]}"].value for name in QUANTITIES}
        most = max(shares, key=lambda name: abs(shares[name] - TAIL))
        return [
            f"The model's images differ from the data, most in {most}: {shares[most]:.0%} of test images are outside"
            f" the central {1 - TAIL:.0%} of the model's own, where {TAIL:.0%} are expected."
        ]
