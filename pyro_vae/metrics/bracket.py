"""How exact annealing from the prior is, on images whose latents are known."""

from dataclasses import asdict, dataclass
from typing import Any

from pyro_vae.estimators import bracket, simulate
from pyro_vae.metrics.base import Finding, Metric, Task
from pyro_vae.metrics.options import Options
from pyro_vae.seeds import seeded


@dataclass(frozen=True)
class Bracket(Metric):
    """Bracket around ais on simulated images.

    References:
        Grosse et al. 2015, Sandwiching the marginal likelihood using bidirectional Monte Carlo.
    """

    name = "bracket"
    on = ("simulated",)
    place = 220
    on_demand = True
    takes_long = "annealing of simulated images, both ways"

    def settings(self, options: Options) -> dict[str, Any]:
        return {**asdict(options.annealing), "images": options.bracket_images}

    def measure(self, task: Task) -> Finding:
        model, options = task.run.model, task.options
        with seeded(task.seed):
            x, z = simulate(model, options.bracket_images)
        found = bracket(model, x, z, options.annealing, seed=task.seed, progress=task.progress)
        return Finding({f"bracket_{name}": estimate for name, estimate in found._asdict().items()})
