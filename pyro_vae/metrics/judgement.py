"""A guide held against draws of the true posterior, image by image."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import expm1
from typing import TYPE_CHECKING, Any, ClassVar

from pyro_vae.estimators import Draws, Estimate, judge, posterior
from pyro_vae.estimators.sampling import require
from pyro_vae.metrics.base import Compared, Finding, Metric, Task, require_at_least
from pyro_vae.metrics.options import Options

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLOSE = 0.03  #: a mean distance to a coverage, or a c2st above a half, that is no more than this is noise of 500 draws
ESTIMATES = {"means": "mean_error", "scales": "log_scale_ratio", "correlations": "correlation_error"}


@dataclass(frozen=True)
class Judgement(Metric):
    """q(z|x) against draws of the true posterior: KL both ways, coverage, means, scales, correlations, a classifier.

    Args:
        count: number of images, the first ones.
        draws: samples of q for each image.
        effective: effective sample size of the draws from the true posterior, if the chains reach it.

    References:
        docs/posterior.md.
    """

    name = "judgement"
    place = 120
    piece = 25
    takes_long = "draws of the true posterior of each image"
    compared = (
        Compared("kl_to_q", "KL(p || q), what q misses", "lower"),
        Compared("coverage_90", "coverage error of q's densest 90%", "lower", "probability"),
    )
    in_comparisons = True
    cheap: ClassVar = {"judgement.count": 10}
    picture_name = "true_posterior"
    picture_title = "The true posterior"
    picture_alt = "What q(z|x) misses of the true posterior, image by image"

    count: int = 25
    draws: int = 1000
    effective: int = 500

    def __post_init__(self) -> None:
        require_at_least(self, count=1, draws=2, effective=1)

    def settings(self, options: Options) -> dict[str, Any]:
        return {**asdict(self), **asdict(options.evidence)}

    def images(self, options: Options) -> int | None:
        return min(count for count in (self.count, options.gap_images, options.images) if count is not None)

    def measure(self, task: Task) -> Finding:
        model, guide = task.run.model, task.run.guide
        require(guide, "the comparison with the true posterior", any_z=True)
        draws = Draws(effective=self.effective)
        true = posterior(model, guide, task.x, task.options.evidence, draws, task.seed, task.progress)
        found = judge(model, guide, task.x, true, self.draws, task.seed)
        return Finding({ESTIMATES.get(name, name): one for name, one in found._asdict().items()})

    def picture(self, found: Finding) -> "Figure | None":
        from pyro_vae.posterior_pictures import over_images_picture

        values = {name: one.per_image.numpy() for name, one in found.estimates.items() if one.per_image is not None}
        coverage = {0.5: values["mass_50"], 0.9: values["mass_90"]}
        return over_images_picture(values["kl_to_q"], values["kl_from_q"], coverage)

    def sentences(self, found: Mapping[str, Estimate]) -> list[str]:
        off, mass, apart = found["coverage_90"].value, found["mass_90"].value, found["c2st"].value - 0.5
        if max(off, apart) <= CLOSE:
            return ["q(z|x) cannot be told from the true posterior of these images."]
        faults = []
        if found["mean_error"].value > 0.2:
            faults.append(f"its means are off by {found['mean_error'].value:.1f} posterior standard deviations")
        ratio = found["log_scale_ratio"].value
        if abs(ratio) > 0.1:
            faults.append(f"its scales are {abs(expm1(ratio)):.0%} too {'narrow' if ratio < 0 else 'wide'}")
        if found["correlation_error"].value > 0.1:
            faults.append(f"its correlations are off by {found['correlation_error'].value:.2f}")
        listed = " and ".join([", ".join(faults[:-1]), faults[-1]] if len(faults) > 1 else faults)
        why = f" {listed}." if faults else " no moment of it is far off, so that its shape is."
        missed = f"(KL(p || q) = {found['kl_to_q'].value:.2f} nats)"
        return [f"q's 90% regions hold {mass:.0%} of the true posterior {missed}:{why}"]
