"""A few images in the plane of z where q differs most from the true posterior."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from pyro_vae.estimators import Draws, Estimate, planes, posterior
from pyro_vae.estimators.sampling import NotDefined, posterior_draws
from pyro_vae.metrics.base import Finding, Metric, Task, require_at_least
from pyro_vae.metrics.options import Options

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Planes(Metric):
    """Pictures of q(z|x) on the true posterior of a few images, in the two dimensions where they differ most.

    Args:
        count: number of images.
        draws: samples of q and of the true posterior for each image.
    """

    name = "planes"
    place = 121
    takes_long = "draws of the true posterior of each image"
    picture_name = "planes"
    picture_title = "Planes of z"
    picture_alt = "q(z|x) beside the true posterior, in the plane where they differ most"

    count: int = 6
    draws: int = 1000

    def __post_init__(self) -> None:
        require_at_least(self, count=1, draws=10)

    def settings(self, options: Options) -> dict[str, Any]:
        return {**asdict(self), **asdict(options.evidence)}

    def images(self, options: Options) -> int | None:
        return min(count for count in (self.count, options.gap_images, options.images) if count is not None)

    def measure(self, task: Task) -> Finding:
        run = task.run
        if run.model.latent_dim < 2:
            raise NotDefined("a plane needs two dimensions of z, and there is one")
        true = posterior(run.model, run.guide, task.x, task.options.evidence, Draws(), task.seed, task.progress)
        p, q = true.resampled(self.draws, task.seed), posterior_draws(run.guide, task.x, self.draws, task.seed)
        chosen = planes(p, q)
        index = chosen.expand(self.draws, -1, -1)
        apart = _moved(p.gather(-1, index), q.gather(-1, index))
        how = "distance of the means in the plane where they differ most, posterior sd"
        arrays = {"dimensions": chosen.cpu(), "true": p.gather(-1, index).cpu(), "own": q.gather(-1, index).cpu()}
        return Finding({"plane_distance": Estimate.over(apart, how, self.draws, unit="posterior sd")}, arrays)

    def picture(self, found: Finding) -> "Figure | None":
        from pyro_vae.posterior_pictures import pairs_picture

        true, own = found.arrays["true"].double().numpy(), found.arrays["own"].double().numpy()
        names = [f"image {i + 1}" for i in range(true.shape[1])]
        axes = [(f"$z_{{{d + 1}}}$", f"$z_{{{e + 1}}}$") for d, e in found.arrays["dimensions"].tolist()]
        return pairs_picture(true, {"q(z|x)": own}, names, axes)

    def sentences(self, found: Mapping[str, Estimate]) -> list[str]:
        return []


def _moved(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """The distance of the means of draws ``(S, N, 2)``, in standard deviations of the first: ``(N,)``."""
    return ((q.mean(0) - p.mean(0)) / p.std(0).clamp(min=1e-12)).norm(dim=-1)
