"""Tests of calibration that users of simulation-based inference know."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from torch import Tensor

from pyro_vae.errors import InputError
from pyro_vae.estimators import (
    Estimate,
    NotDefined,
    RankTest,
    coverage_at,
    rank_densities,
    rank_dimensions,
    rank_quantities,
    simulated,
    tarp,
)
from pyro_vae.estimators.ranks import Quantity
from pyro_vae.estimators.uniformity import rank_test
from pyro_vae.metrics.base import Finding, Metric, Task, require_at_least

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVEL = 0.01  #: of each test
NECESSARY = "necessary only: q(z|x) = p(z) passes too"


@dataclass(frozen=True)
class Ranks(Metric):
    """Ranks with ECDF bands, expected coverage, TARP and ranks of log p(x, z), on simulated images.

    Args:
        simulations: number of images that are drawn from the model.
        draws: samples of q for each image. If draws + 1 is a multiple of 20, the levels 50 % and 90 % are exact.
        quantity: the import path of a function of images x and latents z, ``(N, ...)`` and ``(S, N, D)`` to ``(S, N)``,
            which is ranked as well.

    References:
        docs/posterior.md.
    """

    name = "ranks"
    on = ("simulated",)
    place = 212
    picture_name = "ranks"
    picture_title = "Ranks and coverage"
    picture_alt = "Ranks with their bands and expected coverage"

    simulations: int = 500
    draws: int = 199
    quantity: str = ""

    def __post_init__(self) -> None:
        require_at_least(self, simulations=10, draws=1)

    def measure(self, task: Task) -> Finding:
        model, guide = task.run.model, task.run.guide
        quantities: dict[str, Quantity] = {"log p(x, z)": model.log_joint}
        if self.quantity:
            quantities[self.quantity.rpartition(".")[2]] = _imported(self.quantity)
        of = simulated(model, guide, self.simulations, self.draws, task.seed, task.progress)
        tests = {
            "dimensions": rank_dimensions(of),
            "tarp": tarp(model, of, seed=task.seed),
            "quantities": rank_quantities(of, quantities, task.seed),
        }
        words = {
            "dimensions": f"ranks of each dimension of z; {NECESSARY}",
            "tarp": "distance to a guess of z from x, joint and by dimension",
            "quantities": f"ranks of {', '.join(quantities)}",
            "densities": f"expected coverage; {NECESSARY}",
        }
        estimates = {}
        try:
            densities = rank_densities(guide, of, task.seed)
            tests["densities"] = densities
            estimates = {f"expected_coverage_{level:.0%}"[:-1]: coverage_at(densities, level) for level in (0.5, 0.9)}
        except NotDefined:
            pass  # a guide that scores its own samples only has the other tests
        for name, test in tests.items():
            how = f"ECDF of {words[name]}; simultaneous, Bonferroni over {len(test.names)}"
            p_value = Estimate(test.p_value, None, how, self.draws, self.simulations, unit="p-value")
            estimates[f"{name}_p"] = p_value
        return Finding(estimates, {name: test.ranks for name, test in tests.items()})

    def picture(self, found: Finding) -> "Figure | None":
        from pyro_vae.rank_pictures import calibration_tests_picture

        d = found.arrays["dimensions"].shape[1]
        z = [f"z_{i + 1}" for i in range(d)]
        names = {
            "dimensions": z,
            "tarp": ["all dimensions", *z],
            "quantities": ["log p(x, z)", self.quantity.rpartition(".")[2]],
            "densities": ["q's smallest regions"],
        }
        tests: dict[str, RankTest] = {
            name: rank_test(names[name][: ranks.shape[1]], ranks, self.draws) for name, ranks in found.arrays.items()
        }
        densities = tests.get("densities")
        return calibration_tests_picture(tests["dimensions"], densities, tests["tarp"], tests["quantities"])

    def sentences(self, found: Mapping[str, Estimate]) -> list[str]:
        lines = []
        coverage = found.get("expected_coverage_90")
        if coverage is not None and found["densities_p"].value < LEVEL:
            fault = "overconfident: too narrow, or in another place" if coverage.value < 0.9 else "too wide"
            lines.append(
                f"q's 90% regions hold the z that made an image for {coverage.value:.0%} of simulated images:"
                f" q is {fault}."
            )
        plain = min(found[name].value for name in ("dimensions_p", "densities_p") if name in found)
        knowing = min(found["tarp_p"].value, found["quantities_p"].value)
        if plain >= LEVEL > knowing:
            lines.append(
                "Ranks and coverage pass, and tests that know x do not: q does not use all that the image says of z."
            )
        if not lines:
            failed = min(plain, knowing) < LEVEL
            said = "a test fails, see figures/ranks.png" if failed else "ranks, coverage and TARP show no error of q"
            lines.append(f"On simulated images {said}.")
        return lines


def _imported(path: str) -> Quantity:
    """The user's own function.

    Raises:
        InputError: where there is none.
    """
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"the test quantity {path} cannot be imported: {error}") from error
    if not callable(found):
        raise InputError(f"the test quantity {path} is no function of x and z")

    def quantity(x: Tensor, z: Tensor) -> Tensor:
        return found(x, z)

    return quantity
