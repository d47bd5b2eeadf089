"""The aggregate posterior."""

from dataclasses import dataclass
from typing import Any

from pyro_vae.estimators import aggregate_posterior
from pyro_vae.metrics.base import Finding, Metric, Task
from pyro_vae.metrics.options import Options


@dataclass(frozen=True)
class Aggregate(Metric):
    """Mutual information of x and z, and how far the mean of all q(z|x) is from the prior."""

    name = "aggregate"
    place = 60

    def settings(self, options: Options) -> dict[str, Any]:
        return {"samples": options.aggregate_samples}

    def images(self, options: Options) -> int | None:
        return options.aggregate_images

    def measure(self, task: Task) -> Finding:
        run, samples = task.run, task.options.aggregate_samples
        found = aggregate_posterior(run.model, run.guide, task.x, samples, task.seed, task.progress)
        return Finding({name: estimate for name, estimate in found._asdict().items() if name != "kl"})
