"""Predictive checks: do the model's images look like the data?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyro_vae.estimators import Estimate, PredictiveCheck, posterior_check, prior_check
from pyro_vae.estimators.predictive import QUANTITIES, ROW_QUANTITIES, row_quantities
from pyro_vae.estimators.uniformity import rank_test
from pyro_vae.metrics.base import Finding, Metric, Task, require_at_least
from pyro_vae.metrics.options import Options
from pyro_vae.observation import observed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVEL = 0.01  #: of the prior predictive check
KINDS = ("prior", "posterior")
NAMES = {name: name.replace(" of pixels", "").replace(" ", "_") for name in (*QUANTITIES, *ROW_QUANTITIES)}


@dataclass(frozen=True)
class Predictive(Metric):
    """Prior and posterior predictive checks: brightness, contrast and roughness of images among drawn ones.

    Of rows of a table: the mean and the spread of their standardised columns.

    Args:
        count: number of images, the first ones.
        draws: images that are drawn for each image, from the prior and from q.

    References:
        docs/posterior.md.
    """

    name = "predictive"
    place = 85
    picture_name = "predictive"
    picture_title = "Predictive checks"
    picture_alt = "Statistics of the model's images beside those of the data"

    count: int = 200
    draws: int = 99

    def __post_init__(self) -> None:
        require_at_least(self, count=1, draws=1)

    def images(self, options: Options) -> int | None:
        return self.count if options.images is None else min(self.count, options.images)

    def settings(self, options: Options) -> dict[str, Any]:
        return {**super().settings(options), "quantities": list(NAMES)}

    def measure(self, task: Task) -> Finding:
        model, guide, x = task.run.model, task.run.guide, task.x
        quantities = QUANTITIES if observed(model.image_shape) == "image" else row_quantities(x)
        checks = {
            "prior": prior_check(model, x, quantities, num_samples=self.draws, seed=task.seed),
            "posterior": posterior_check(model, guide, x, quantities, num_samples=self.draws, seed=task.seed),
        }
        estimates = {
            f"{kind}_unusual_{NAMES[name]}": share
            for kind, check in checks.items()
            for name, share in zip(quantities, check.outside, strict=True)
        }

        def p_value(value: float, how: str) -> Estimate:
            return Estimate(value, None, how, self.draws, len(x), unit="p-value")

        test = checks["prior"].test
        for name, own in zip(quantities, test.p_values.tolist(), strict=True):
            estimates[f"prior_p_{NAMES[name]}"] = p_value(own, f"ECDF of the ranks of {name}; simultaneous")
        how = f"ECDF of the ranks of {', '.join(quantities)}; simultaneous, Bonferroni over {len(quantities)}"
        estimates["prior_predictive_p"] = p_value(test.p_value, how)
        return Finding(estimates, {kind: check.test.ranks for kind, check in checks.items()})

    def picture(self, found: Finding) -> "Figure | None":
        from pyro_vae.rank_pictures import predictive_picture

        names = _measured(found.estimates)

        def check(kind: str) -> PredictiveCheck:
            shares = tuple(found.estimates[f"{kind}_unusual_{NAMES[name]}"] for name in names)
            return PredictiveCheck(rank_test(names, found.arrays[kind], self.draws), shares)

        return predictive_picture(*(check(kind) for kind in KINDS))

    def sentences(self, found: Mapping[str, Estimate]) -> list[str]:
        p_values = {name: found[f"prior_p_{NAMES[name]}"].value for name in _measured(found)}
        p = found["prior_predictive_p"].value
        if p >= LEVEL:
            return [f"In {_listed(list(p_values))} the model's images are like the data (p = {p:.2g})."]
        least = min(p_values.values())
        most = _listed([name for name, own in p_values.items() if own == least])
        figure = f"p = {p:.2g}" if p else "p < 1e-300"
        return [f"The model's images differ from the data, most in {most} ({figure} if they were alike)."]


def _measured(found: Mapping[str, Estimate]) -> list[str]:
    """The quantities of these estimates: those of images or of rows."""
    return [name for name, short in NAMES.items() if f"prior_p_{short}" in found]


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
