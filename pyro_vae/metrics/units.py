"""Active units and directions."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pyro_vae.estimators import Estimate, active_units
from pyro_vae.estimators.latent import THRESHOLD
from pyro_vae.metrics.base import Finding, Metric, Task
from pyro_vae.metrics.options import Options

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Units(Metric):
    """Dimensions of z that are used, directions that images move, and whether no dimension is used."""

    name = "units"
    place = 40
    least: ClassVar = {"elbo_samples": 2}
    in_comparisons = True
    picture_name = "active_units"
    picture_title = "Latent dimensions in use"
    picture_alt = "Activity of each latent dimension"

    def settings(self, options: Options) -> dict[str, Any]:
        return {"samples": options.elbo_samples}

    def measure(self, task: Task) -> Finding:
        found = active_units(task.run.guide, task.x, task.options.elbo_samples, seed=task.seed, progress=task.progress)
        collapsed = replace(
            found.active, value=float(found.collapsed), standard_error=None, estimator="no active unit", unit="1 or 0"
        )
        estimates = {"active_units": found.active, "active_directions": found.directions, "collapsed": collapsed}
        return Finding(estimates, {"activity": found.activity})

    def picture(self, found: Finding) -> "Figure":
        return units_picture(found.arrays["activity"].numpy(), THRESHOLD)

    def sentences(self, found: Mapping[str, Estimate]) -> list[str]:
        directions = found.get("active_directions")  # absent in older records
        if found["collapsed"].value:
            return [_none_active(directions)]
        units = found["active_units"]
        if directions is None or round(directions.value) >= round(units.value):  # 4.8 of 5 is no collapse
            return []
        return [
            f"Images move {_about(directions)} of z, although {units.value:.0f} dimensions look"
            " active: the others are hardly used. A longer training or --beta Linear may free them."
        ]


def _about(directions: Estimate) -> str:
    count = round(directions.value)
    return f"about {count} {'direction' if count == 1 else 'directions'}"


def _none_active(directions: Estimate | None) -> str:
    """What no active unit means: the threshold is in units of z, which the directions do not depend on."""
    if directions is None:
        return "No latent dimension is active: q(z|x) may be the prior for every image. Try --beta Linear."
    if round(directions.value) == 0:
        return (
            "No latent dimension is active and images move no direction of z: q(z|x) is the prior for every image, or"
            " nearly. Try --beta Linear."
        )
    return (
        f"Images move {_about(directions)} of z, although no dimension looks active: the means of"
        f" q(z|x) differ by less than {THRESHOLD**0.5:g}, and its scales are smaller still. This is no collapse."
    )


def units_picture(activity: "np.ndarray", threshold: float) -> "Figure":
    """The activity ``(D,)`` of each latent dimension, from the most to the least active, on a logarithmic scale."""
    import numpy as np
    from matplotlib.figure import Figure

    from pyro_vae.plots import COLOURS

    order = np.argsort(-activity)
    floor = min(1e-5, threshold / 10)
    values = np.maximum(activity[order], floor)
    figure = Figure(figsize=(float(np.clip(0.28 * len(values) + 1.5, 6.0, 9.0)), 4.2), layout="constrained")
    axes = figure.subplots()
    axes.set_yscale("log")  # before the limits, which are a logarithmic axis' own
    active = values > threshold
    axes.margins(x=0.01)
    axes.bar(np.arange(len(values)), values, color=[COLOURS[0] if on else "0.6" for on in active])
    axes.set_ylim(min(float(values.min()), threshold) / 3, 3 * max(float(values.max()), threshold))
    line = axes.axhline(threshold, color="black", ls="--")
    step = -(-len(values) // 25)  # names that fit beside each other
    named = np.arange(0, len(values), step)
    axes.set_xticks(named, [str(order[i] + 1) for i in named], fontsize="small")
    axes.set_xlabel("latent dimension", fontsize=12)
    axes.set_ylabel("Cov$_x$(E$_q$[z|x])", fontsize=12)
    axes.set_title("Which dimensions are used", fontsize=13)
    words = f"active above {threshold:g}: {active.sum()} of {len(values)}"
    figure.legend([line], [words], loc="outside lower center", frameon=False, fontsize=12)
    return figure
