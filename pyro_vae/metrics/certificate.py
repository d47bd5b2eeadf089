"""How exact log p(x) is, on images whose latents are known."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from pyro_vae.estimators import Estimate, certify
from pyro_vae.metrics.base import Finding, Metric, Task
from pyro_vae.metrics.options import Options


@dataclass(frozen=True)
class Certificate(Metric):
    """Bracket around the annealed log p(x) of simulated images: how exact evidence is."""

    name = "certificate"
    on = ("simulated",)
    place = 200
    in_comparisons = True
    cheap: ClassVar = {"certificate_images": 50}

    def settings(self, options: Options) -> dict[str, Any]:
        return {**asdict(options.evidence), **asdict(options.demand)}

    def measure(self, task: Task) -> Finding:
        run, options = task.run, task.options
        found = certify(run.model, run.guide, options.evidence, options.demand, task.seed, task.progress)
        settings, n = found.settings.annealing, options.certificate_images
        how = f"mean and two standard errors of the bracket, asked for {found.tolerance:g}"
        words = "met on fresh images" if found.met else f"not met within {options.most_temperatures} temperatures"
        estimates = {
            "certified_lower": found.bracket.lower,
            "certified_upper": found.bracket.upper,
            "certified_gap": found.bracket.gap,
            "certified_to": Estimate(found.reached, None, f"{how}: {words}", settings.chains, n, "upper"),
            "certified_temperatures": Estimate(
                settings.temperatures, None, "the fewest of an image", settings.chains, n, unit="temperatures"
            ),
        }
        return Finding(estimates)
