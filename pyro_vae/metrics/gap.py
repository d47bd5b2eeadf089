"""The inference gap and its two parts."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pyro_vae.estimators import Estimate, bounds_at, optimize_posterior, split_gap
from pyro_vae.estimators.sampling import require
from pyro_vae.metrics.base import Compared, Finding, Metric, Task
from pyro_vae.metrics.options import Options

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEW = 0.05  #: a share of images not at rest that is no more than this needs no sentence


@dataclass(frozen=True)
class Gap(Metric):
    """Inference gap log p(x) - ELBO, split into approximation and amortization gap.

    References:
        Cremer, Li & Duvenaud 2018, Inference Suboptimality in Variational Autoencoders.
    """

    name = "gap"
    on = ("test", "train")
    place = 110
    piece = 25
    needs = ("elbo", "evidence")
    takes_long = "the search for each image's best posterior"
    compared = (
        Compared("inference_gap", "inference gap", "lower"),
        Compared("approximation_gap", "approximation gap", "lower"),
        Compared("amortization_gap", "amortization gap", "lower"),
    )
    in_comparisons = True
    cheap: ClassVar = {
        "gap_images": 25,
        "local.num_samples": 10,
        "local.lr": 5e-3,
        "local.check_every": 50,
        "local.patience": 4,
        "local.max_steps": 1000,
    }
    picture_name = "inference_gap"
    picture_title = "The inference gap"
    picture_alt = "The inference gap and its parts, of test and of training images"

    def settings(self, options: Options) -> dict[str, Any]:
        return {**asdict(options.local), "best_samples": options.best_samples, "log_p": "annealed"}

    def images(self, options: Options) -> int | None:
        return options.gap_images

    def measure(self, task: Task) -> Finding:
        model, guide, options = task.run.model, task.run.guide, task.options
        require(guide, "the inference gap")
        amortized, evidence = task.earlier("elbo", "elbo"), task.earlier("evidence", "log_evidence")
        best_of = optimize_posterior(model, guide, task.x, options.local, task.seed, task.progress)
        best, iwae_best = bounds_at(model, guide, task.x, best_of.lam, options.best_samples, seed=task.seed + 1)
        iwae_best = replace(iwae_best, estimator=f"{iwae_best.estimator} at q*")
        elbo_amortized = Estimate.over(amortized, "elbo", options.elbo_samples, "lower")
        steps = options.local.num_samples
        estimates = {
            "elbo_best": best,
            "iwae_best": iwae_best,
            **split_gap(evidence, best, elbo_amortized, evidence="annealed log p(x)")._asdict(),
            "local_steps": Estimate.over(best_of.steps, "Adam on lambda", steps, unit="steps"),
            "settled": Estimate.over(best_of.settled.double(), "share at rest", steps, unit="share of images"),
        }
        return Finding(estimates)

    def picture_of_splits(self, found: Mapping[str, Mapping[str, Estimate]]) -> "Figure":
        return gap_picture(found)

    def sentences(self, found: Mapping[str, Estimate]) -> list[str]:
        settled = found["settled"].value
        if settled >= 1 - FEW:
            return [_parts(found)]
        return [
            _parts(found),
            f"The search for the best posterior was not at rest for {1 - settled:.0%} of the images, so the family's"
            " part of the gap is too large by some of the encoder's: raise --local.max-steps.",
        ]


def _parts(found: Mapping[str, Estimate]) -> str:
    gap, family, encoder = (found[f"{name}_gap"] for name in ("inference", "approximation", "amortization"))
    if gap.value <= 2 * (gap.standard_error or 0.0):
        return f"No inference gap is shown ({gap.value:.2f} nats, within its error): a richer guide has little to win."
    cure = (
        "the larger part is the family's, so try a richer guide"
        if family.value > encoder.value
        else "the larger part is the encoder's, so try a larger encoder or a longer training before a richer guide"
    )
    return (
        f"q(z|x) loses {gap.value:.2f} nats to the posterior of {gap.images:,} images: {family.value:.2f} by its family"
        f" (approximation gap), {encoder.value:.2f} by its encoder (amortization gap); {cure}."
    )


def gap_picture(gaps: Mapping[str, Mapping[str, Estimate]]) -> "Figure":
    """The split inference gap of each split as a stacked bar, nats per image, with standard errors."""
    from matplotlib.figure import Figure

    from pyro_vae.plots import GAP_COLOURS

    figure = Figure(figsize=(6, 1.0 * len(gaps) + 1.7), layout="constrained")
    axes = figure.subplots()
    for row, parts in enumerate(gaps.values()):
        left = 0.0
        for (name, colour), hatch in zip(GAP_COLOURS.items(), ("", "//"), strict=True):
            part = parts[name]
            label = name.replace("_", " ") if row == 0 else None
            error = part.standard_error or 0.0
            axes.barh(
                row, part.value, left=left, xerr=error, color=colour, hatch=hatch, label=label, ecolor="0.2", capsize=3
            )
            left += part.value
    axes.set_yticks(range(len(gaps)), list(gaps))
    axes.invert_yaxis()
    axes.set(xlabel="log p(x) - ELBO, nats per image (bars: standard errors)", title="The inference gap and its parts")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure
