"""The calibration of q(z|x) on images whose latents are known."""

from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any, ClassVar

from pyro_vae.estimators import Estimate, calibration
from pyro_vae.metrics.base import Finding, Metric, Task
from pyro_vae.metrics.options import Options

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

LEVEL = 0.01  #: of the test of calibration


@dataclass(frozen=True)
class Calibration(Metric):
    """Whether the true latents of simulated images have uniform ranks among draws of q(z|x).

    References:
        Talts et al. 2018, Validating Bayesian inference algorithms with simulation-based calibration.
    """

    name = "calibration"
    on = ("simulated",)
    place = 210
    least: ClassVar = {"calibration_images": 80}
    picture_name = "calibration"
    picture_title = "Calibration"
    picture_alt = "Ranks of the true z among draws of q"

    def settings(self, options: Options) -> dict[str, Any]:
        return {"images": options.calibration_images}

    def measure(self, task: Task) -> Finding:
        run, n = task.run, task.options.calibration_images
        found = calibration(run.model, run.guide, n, seed=task.seed, progress=task.progress)
        how = "chi-squared test of uniform ranks, Bonferroni; necessary only: q(z|x) = p(z) passes too"
        p_value = Estimate(found.p_value, None, how, found.num_samples, n, unit="p-value")
        return Finding({"calibration": p_value}, {"ranks": found.ranks})

    def picture(self, found: Finding) -> "Figure":
        return calibration_picture(found.arrays["ranks"].numpy(), found.estimates["calibration"].samples)

    def sentences(self, found: Mapping[str, Estimate]) -> list[str]:
        p = found["calibration"].value
        if p >= LEVEL:
            return [f"On simulated images no error of the posterior's calibration is shown (p = {p:.2g})."]
        return [f"On simulated images q(z|x) is not calibrated (p = {p:.2g}): see figures/calibration.png for where."]


def calibration_picture(ranks: "np.ndarray", num_samples: int, bins: int = 16) -> "Figure":
    """Histograms of the ranks ``(N, D)`` of the true latents, with the band that holds 99 % of the bars if uniform."""
    import numpy as np
    from matplotlib.figure import Figure
    from scipy import stats

    from pyro_vae.plots import COLOURS

    n, dimensions = ranks.shape
    shown = min(dimensions, 20)
    columns = min(5, shown)
    rows = -(-shown // columns)
    figure = Figure(figsize=(max(4.0, 2.3 * columns + 0.6), 1.7 * rows + 1.3), layout="constrained")
    title = "Ranks of the true z among draws of q: flat where q(z|x) is the posterior of the model's own images"
    figure.suptitle(fill(title, int(9.5 * figure.get_figwidth())))
    low, high = stats.binom.interval(0.99, n, 1 / bins)
    for d, axes in enumerate(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat):
        if d >= shown:
            axes.set_axis_off()
            continue
        axes.axhspan(low, high, color="0.9", zorder=0)
        axes.hist(ranks[:, d], bins=list(np.linspace(-0.5, num_samples + 0.5, bins + 1)), color=COLOURS[0])
        axes.set_title(f"$z_{{{d + 1}}}$", fontsize="medium")
    figure.supxlabel(f"rank among {num_samples} draws" + (f" (first {shown} dimensions)" if shown < dimensions else ""))
    figure.supylabel("images (band: 99% if uniform)")
    return figure
