"""The maximum mean discrepancy between the aggregate posterior and the prior."""

from dataclasses import dataclass

from pyro_vae.estimators import mmd
from pyro_vae.metrics.base import Finding, Metric, Task
from pyro_vae.metrics.options import Options


@dataclass(frozen=True)
class Mmd(Metric):
    """Maximum mean discrepancy between codes of images and the prior, from draws alone."""

    name = "mmd"
    place = 70

    def images(self, options: Options) -> int | None:
        return options.aggregate_images

    def measure(self, task: Task) -> Finding:
        return Finding({"mmd": mmd(task.run.model, task.run.guide, task.x, task.seed)})
