"""The KL of each latent dimension."""

from dataclasses import dataclass

import torch

from pyro_vae.estimators import kl_of_dimensions
from pyro_vae.metrics.base import Finding, Metric, Task


@dataclass(frozen=True)
class Dimensions(Metric):
    """KL(q(z_d|x) || p(z_d)) of each latent dimension."""

    name = "dimensions"
    place = 50
    one_row = "kl of each dimension"

    def measure(self, task: Task) -> Finding:
        parts = kl_of_dimensions(task.run.model, task.run.guide, task.x)
        values = torch.tensor([part.value for part in parts])
        return Finding({f"kl_{d + 1}": part for d, part in enumerate(parts)}, {"kl": values})
