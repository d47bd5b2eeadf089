"""k-hat: how far q(z|x) is from the posterior."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pyro_vae.estimators import Estimate, importance
from pyro_vae.estimators.importance import FEWEST, LIMIT
from pyro_vae.metrics.base import Finding, Metric, Task
from pyro_vae.metrics.options import Options

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

FEW = 0.05  #: a share of images that is no more than this is no reason to distrust the rest


@dataclass(frozen=True)
class Importance(Metric):
    """k-hat of the weights p(x, z) / q(z|x), how far q(z|x) is from the posterior, and their effective number."""

    name = "importance"
    place = 30
    piece = 100
    in_comparisons = True
    cheap: ClassVar = {"importance_samples": 500}
    least: ClassVar = {"importance_samples": FEWEST}
    picture_name = "k_hat"
    picture_title = "k-hat of each image"
    picture_alt = "Histogram of the images' k-hat"

    def settings(self, options: Options) -> dict[str, Any]:
        return {"samples": options.importance_samples}

    def measure(self, task: Task) -> Finding:
        run, samples = task.run, task.options.importance_samples
        found = importance(run.model, run.guide, task.x, samples, seed=task.seed, progress=task.progress)
        return Finding(found._asdict())

    def picture(self, found: Finding) -> "Figure":
        k_hat = found.estimates["k_hat"].per_image
        assert k_hat is not None
        return k_hat_picture(k_hat.numpy(), LIMIT)

    def sentences(self, found: Mapping[str, Estimate]) -> list[str]:
        share = found["unreliable"].value
        if share <= FEW:
            return [
                f"k-hat is at most {LIMIT} for {1 - share:.0%} of the images: numbers from importance weights hold."
            ]
        instead = "log_evidence" if "log_evidence" in found else "log p(x) by annealing (--only evidence)"
        return [
            f"k-hat is above {LIMIT} for {share:.0%} of the images: a number from importance weights, such as iwae,"
            f" cannot be trusted as log p(x) there. Use {instead}; a guide nearer to the posterior lowers k-hat."
        ]


def k_hat_picture(k_hat: "np.ndarray", limit: float) -> "Figure":
    """The images' k-hat ``(N,)``, with the limit above which the draws do not estimate reliably."""
    import numpy as np
    from matplotlib.figure import Figure

    from pyro_vae.plots import COLOURS

    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.hist(k_hat, bins=list(np.linspace(min(0.0, k_hat.min()), max(1.5, k_hat.max()), 40)), color=COLOURS[0])
    above = (k_hat > limit).mean()
    line = axes.axvline(limit, color="black")
    axes.set_xlabel("PSIS k-hat of p(x, z) / q(z|x)", fontsize=12)
    axes.set_ylabel("images", fontsize=12)
    axes.set_title("How far q(z|x) is from the posterior", fontsize=13)
    words = f"reliable up to {limit:.2f}; {above:.0%} of images above"
    figure.legend([line], [words], loc="outside lower center", frameon=False, fontsize=12)
    return figure
