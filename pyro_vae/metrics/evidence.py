"""log p(x) by annealing."""

from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

from pyro_vae.estimators import Estimate, anneal, in_bits
from pyro_vae.metrics.base import Compared, Finding, Metric, Task
from pyro_vae.metrics.options import Options

FIFTH = 5  #: how many times the temperatures, and on which part of the images, log p(x) is estimated again


@dataclass(frozen=True)
class Evidence(Metric):
    """log p(x), annealed from the best Gaussian of each image."""

    name = "evidence"
    on = ("test", "train")
    place = 90
    piece = 25
    takes_long = "annealing from each image's best Gaussian"
    compared = (Compared("log_evidence", "log p(x), annealed", "higher"),)
    in_comparisons = True
    cheap: ClassVar = {"evidence_images": 50}

    def settings(self, options: Options) -> dict[str, Any]:
        return asdict(options.evidence)

    def images(self, options: Options) -> int | None:
        return options.evidence_images

    def measure(self, task: Task) -> Finding:
        run, settings, every = task.run, task.options.evidence, slice(None, None, FIFTH)
        found = anneal(run.model, run.guide, task.x, None, settings, task.seed, task.progress)
        longer = replace(settings.annealing, temperatures=FIFTH * settings.annealing.temperatures)
        other = anneal(run.model, run.guide, task.x[every], None, replace(settings, annealing=longer), task.seed + 1)
        before, after = found.log_evidence.per_image, other.log_evidence.per_image
        assert before is not None
        assert after is not None
        chains = settings.annealing.chains
        change = f"log p(x) at {FIFTH} times the temperatures, minus that above, on each {FIFTH}th image"
        modes = "share with a second mode of 1% or more"
        estimates = {
            "log_evidence": found.log_evidence,
            **in_bits(run.model, "log_evidence", found.log_evidence, task.seen),
            "evidence_change": Estimate.over(after - before[every], change, chains),
            "several_modes": Estimate.over((found.modes > 1).double(), modes, chains, unit="share of images"),
            "temperatures": Estimate.over(found.temperatures, "chosen by pilot chains", chains, unit="temperatures"),
            "base_k_hat": Estimate.over(found.k_hat, "PSIS k-hat of the best Gaussian", 200, unit="k-hat"),
        }
        return Finding(estimates)
