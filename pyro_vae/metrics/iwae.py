"""The importance-weighted bound."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pyro_vae.estimators import in_bits, iwae
from pyro_vae.metrics.base import Compared, Finding, Metric, Task
from pyro_vae.metrics.options import Options


@dataclass(frozen=True)
class Iwae(Metric):
    """Importance-weighted bound on log p(x)."""

    name = "iwae"
    on = ("test", "train")
    against = "log p(x), by IWAE"
    place = 20
    piece = 100
    compared = (Compared("iwae", "IWAE bound on log p(x)", "higher"),)
    in_comparisons = True
    cheap: ClassVar = {"iwae_samples": 500}

    def settings(self, options: Options) -> dict[str, Any]:
        return {"samples": options.iwae_samples}

    def measure(self, task: Task) -> Finding:
        run, samples = task.run, task.options.iwae_samples
        found = iwae(run.model, run.guide, task.x, samples, seed=task.seed, progress=task.progress)
        return Finding({"iwae": found, **in_bits(run.model, "iwae", found, task.seen)})
