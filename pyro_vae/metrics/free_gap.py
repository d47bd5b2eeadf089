"""The inference gap split anew with the networks of the family free."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import torch

from pyro_vae.estimators import Estimate, bounds_at, optimize_posterior, split_gap
from pyro_vae.estimators.family import has_networks
from pyro_vae.estimators.sampling import require
from pyro_vae.metrics.base import Finding, Metric, Task, require_at_least
from pyro_vae.metrics.options import Options


@dataclass(frozen=True)
class FreeGap(Metric):
    """The split gap with the family's networks free: each image has its own, where gap moves lambda alone.

    Args:
        count: number of images, the first ones.
        num_samples: draws of z for each image and step.
        max_steps: maximum number of Adam steps.

    References:
        Cremer, Li & Duvenaud 2018, Inference Suboptimality in Variational Autoencoders: their local flows are free.
    """

    name = "free_gap"
    place = 111
    needs = ("elbo", "evidence", "gap")
    takes_long = "the search for each image's best posterior, with its own networks"
    cheap: ClassVar = {"free_gap.count": 5, "free_gap.num_samples": 10, "free_gap.max_steps": 500}

    count: int = 10
    num_samples: int = 32
    max_steps: int = 2000

    def __post_init__(self) -> None:
        require_at_least(self, count=1, num_samples=1, max_steps=1)

    def settings(self, options: Options) -> dict[str, Any]:
        return {**asdict(options.local), **asdict(self), "best_samples": options.best_samples}

    def images(self, options: Options) -> int | None:
        return min(count for count in (self.count, options.gap_images, options.images) if count is not None)

    def measure(self, task: Task) -> Finding:
        model, guide, options = task.run.model, task.run.guide, task.options
        require(guide, "the inference gap")
        amortized, evidence = task.earlier("elbo", "elbo"), task.earlier("evidence", "log_evidence")
        frozen = task.earlier("gap", "elbo_best")
        settled = torch.ones(len(frozen))
        best = Estimate.over(frozen, "elbo[q*]; the family has no networks", options.best_samples, "lower")
        with torch.no_grad():
            lam = guide.amortize(task.x)
        if has_networks(guide, lam):
            local = replace(options.local, num_samples=self.num_samples, max_steps=self.max_steps)
            best_of = optimize_posterior(model, guide, task.x, local, task.seed, task.progress, networks="free")
            best = bounds_at(model, guide, task.x, best_of, options.best_samples, seed=task.seed + 1).elbo
            settled = best_of.settled.double()
        assert best.per_image is not None
        elbo_amortized = Estimate.over(amortized, "elbo", options.elbo_samples, "lower")
        split = split_gap(evidence, best, elbo_amortized, evidence="annealed log p(x)")
        how, going = "elbo[q*, own networks] - elbo[q*, networks frozen]", bool((settled < 1).any())
        estimates = {
            "elbo_best_free": best,
            # a search that is not at rest has more to find
            "approximation_gap_free": replace(split.approximation_gap, bound="upper" if going else None),
            "networks_gain": Estimate.over(best.per_image - frozen, how, best.samples, "lower" if going else None),
            "settled_free": Estimate.over(settled, "share at rest", self.num_samples, unit="share of images"),
        }
        return Finding(estimates)

    def sentences(self, found: Mapping[str, Estimate]) -> list[str]:
        gain, free = found["networks_gain"], found["approximation_gap_free"]
        if gain.value == 0:  # the family has no networks
            return []
        moving = 1 - found["settled_free"].value
        more = f" The search was not at rest for {moving:.0%} of the images: raise --free-gap.max-steps."
        if gain.value <= 2 * (gain.standard_error or 0.0):
            shown = f"({gain.value:+.2f} nats, within its error)"
            if moving:
                return [f"With networks of its own for each image the family does no better so far {shown}.{more}"]
            return [
                f"With networks of its own for each image the family does no better {shown}: the split of the gap holds"
                " for the family."
            ]
        least, most, rest = ("at least ", "at most ", "at least the rest") if moving else ("", "", "the rest")
        return [
            f"With networks of its own for each image the family gains {least}{gain.value:.2f} nats: the family itself"
            f" loses {most}{free.value:.2f} nats to the posterior (approximation gap, networks free, {free.images}"
            f" images); {rest} of the approximation gap above is due to networks that all images share."
            + (more if moving else "")
        ]
