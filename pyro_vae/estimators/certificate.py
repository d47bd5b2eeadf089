"""How far log p(x) can be off, measured where the truth can be bracketed: on images that the model itself draws."""

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Context
from typing import NamedTuple

from torch import nn

from pyro_vae.estimators.ais import Bracket
from pyro_vae.estimators.estimate import Estimate
from pyro_vae.estimators.evidence import Evidence, bracket_evidence
from pyro_vae.estimators.sampling import Progress, silent, simulate
from pyro_vae.models import Model
from pyro_vae.seeds import batch_seed, seeded


@dataclass(frozen=True)
class Demand:
    """What is asked of a certificate.

    Attributes:
        tolerance: the mean of the bracket and two of its standard errors must be below it, nats per image.
        images: simulated images of the final measurement; half as many choose the temperatures.
        most_temperatures: the budget: no image's fewest temperatures are raised above it.

    Raises:
        ValueError: where one of them is not positive, or there are fewer than four images.
    """

    tolerance: float = 0.05
    images: int = 100
    most_temperatures: int = 80

    def __post_init__(self) -> None:
        if min(self.tolerance, self.most_temperatures) <= 0 or self.images < 4:
            raise ValueError(f"tolerance and most_temperatures are positive, and images at least 4: {self}")


class Certificate(NamedTuple):
    """How close the two bounds on log p(x) come on simulated images.

    Attributes:
        bracket: of the final measurement, whose images and draws nothing was chosen by.
        settings: the estimator's, with the temperatures that were chosen.
        tolerance: that was asked for.
    """

    bracket: Bracket
    settings: Evidence
    tolerance: float

    @property
    def reached(self) -> float:
        """Mean and two standard errors of the bracket, nats per image."""
        return bound_of(self.bracket.gap)

    @property
    def met(self) -> bool:
        return self.reached <= self.tolerance


def bound_of(gap: Estimate, images: int | None = None) -> float:
    """What a bracket's mean is below, two standard errors included: those that ``images`` of them would have."""
    return gap.value + 2 * (gap.standard_error or 0.0) * (gap.images / (images or gap.images)) ** 0.5


def rounded_up(reached: float) -> str:
    """What a bracket's mean is below, in words: two digits, rounded up, and never less than 0.001 nats.

    >>> rounded_up(0.0214), rounded_up(0.05), rounded_up(-0.3)
    ('0.022', '0.05', '0.001')
    """
    shown = Context(prec=2, rounding=ROUND_CEILING).create_decimal(repr(max(reached, 0.001)))
    return f"{float(shown):g}"


def certify(
    model: Model,
    guide: nn.Module | None,
    settings: Evidence = Evidence(),  # noqa: B008 (it is frozen)
    demand: Demand = Demand(),
    seed: int = 0,
    progress: Progress = silent,
) -> Certificate:
    """Raise the temperatures until the bracket on simulated images is small enough, then measure it afresh.

    A number of temperatures that looks good on half the images is measured on others; where it fails there, or where
    the first look is not good enough, it is doubled, as long as the budget lasts. What is given is the last fresh
    measurement, whether it meets the demand or not.

    Args:
        guide: whose draws are among the starts.
        seed: of images and draws.

    References:
        Grosse, Ancha & Roy 2016, Measuring the Reliability of MCMC Inference with Bidirectional Monte Carlo.
    """
    temperatures, attempt = settings.annealing.temperatures, 0
    while True:
        tried = replace(settings, annealing=replace(settings.annealing, temperatures=temperatures))
        last = 2 * temperatures > demand.most_temperatures
        attempt += 2
        promising = last
        if not last:
            look = _measured(model, guide, tried, demand.images // 2, (seed, attempt), progress)
            promising = bound_of(look.gap, demand.images) <= demand.tolerance
        if promising:
            found = _measured(model, guide, tried, demand.images, (seed, attempt + 1), progress)
            if last or bound_of(found.gap) <= demand.tolerance:
                return Certificate(found, tried, demand.tolerance)
        temperatures *= 2


def _measured(
    model: Model, guide: nn.Module | None, settings: Evidence, images: int, seeds: tuple[int, int], progress: Progress
) -> Bracket:
    own = batch_seed(*seeds) % 2**31
    with seeded(own):
        x, z = simulate(model, images)
    return bracket_evidence(model, guide, x, z, settings, own, progress)
