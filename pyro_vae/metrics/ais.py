"""log p(x) by annealed importance sampling from the prior."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from pyro_vae.estimators import ais
from pyro_vae.metrics.base import Finding, Metric, Task
from pyro_vae.metrics.options import Options


@dataclass(frozen=True)
class Ais(Metric):
    """log p(x) by annealed importance sampling from the prior: far less exact than evidence."""

    name = "ais"
    on = ("test", "train")
    place = 100
    piece = 25
    on_demand = True
    takes_long = "annealing"
    cheap: ClassVar = {"annealing.chains": 4, "annealing.temperatures": 200}

    def settings(self, options: Options) -> dict[str, Any]:
        return asdict(options.annealing)

    def images(self, options: Options) -> int | None:
        return options.gap_images

    def measure(self, task: Task) -> Finding:
        found = ais(task.run.model, task.x, task.options.annealing, seed=task.seed, progress=task.progress)
        return Finding({"ais": found})
