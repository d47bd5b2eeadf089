"""The quality of the guide's gradient."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pyro_vae.estimators import gradient_quality
from pyro_vae.metrics.base import Finding, Metric, Task
from pyro_vae.metrics.options import Options


@dataclass(frozen=True)
class Gradient(Metric):
    """Variance and signal-to-noise ratio of the gradient for the guide, on one batch."""

    name = "gradient"
    place = 80
    least: ClassVar = {"gradient_repeats": 4}
    takes_long = "gradients of one batch, many times"

    def settings(self, options: Options) -> dict[str, Any]:
        return {"repeats": options.gradient_repeats}

    def images(self, options: Options) -> int | None:
        return options.gradient_images

    def measure(self, task: Task) -> Finding:
        run, repeats = task.run, task.options.gradient_repeats
        found = gradient_quality(
            run.model, run.guide, task.x, run.config.objective(), repeats, task.seed, task.progress
        )
        return Finding({f"gradient_{name}": estimate for name, estimate in found._asdict().items()})
