"""What is chosen before log p(x) is estimated, by draws that no estimate uses: step sizes, temperatures and tail."""

from collections.abc import Callable
from functools import partial
from math import pi
from typing import NamedTuple

import torch
from torch import Tensor

from pyro_vae.estimators.annealing import Annealing, Path
from pyro_vae.estimators.hmc import LogJoint, Point, score
from pyro_vae.estimators.proposal import Proposal, with_tails

STEERED = 40  #: temperatures of the run that steers the step sizes
FACTORS = (1, 4, 16)  #: of the temperatures: an image gets the first that brings the spread of its weights down to
SPREAD = 0.35  #: nats, the standard deviation of the log weights of its chains


class Plan(NamedTuple):
    """How each of N images is annealed.

    Attributes:
        proposal: the base, with heavy tails where they help.
        step_sizes: on an even grid of inverse temperatures, ``(STEERED + 1, N, 1)``.
        temperatures: ``(N,)``.
        k_hat: of the Gaussian base, ``(N,)``.
    """

    proposal: Proposal
    step_sizes: Tensor
    temperatures: Tensor
    k_hat: Tensor

    def take(self, rows: Tensor) -> "Plan":
        """That of some images."""
        return Plan(self.proposal.take(rows), self.step_sizes[:, rows], self.temperatures[rows], self.k_hat[rows])

    def groups(self) -> list[Tensor]:
        """The images that can be annealed side by side: of as many temperatures and modes."""
        key = self.temperatures * 100 + self.proposal.modes
        return [(key == value).nonzero()[:, 0] for value in key.unique()]


def linear(temperatures: int, like: Tensor) -> Tensor:
    """Even inverse temperatures from 0 to 1."""
    return torch.linspace(0, 1, temperatures + 1, device=like.device, dtype=like.dtype)


def started(
    log_joint: LogJoint, proposal: Proposal, x: Tensor, component: Tensor, u: Tensor | None = None
) -> tuple[Point, Callable[[Tensor], Point]]:
    """Chains of these components at u, drawn from the base where it is not given, and what scores them elsewhere."""
    rescore = partial(score, proposal.densities(log_joint, x, component))
    return rescore(proposal.draw(component) if u is None else u), rescore


def path_of(plan: Plan, temperatures: int, settings: Annealing) -> Path:
    """The path of all these images with so many temperatures."""
    steered = _whole(len(plan.temperatures), settings, plan.proposal.loc)
    steered.step_sizes = plan.step_sizes
    return steered.at(linear(temperatures, plan.proposal.loc))


def _whole(images: int, settings: Annealing, like: Tensor) -> Path:
    # in u a trajectory of pi / 2 is a quarter of the period of N(0, 1): it ends at a new draw
    steps = settings.leapfrog_steps
    return Path(linear(STEERED, like), images, settings, first_step=1.2 / steps, longest_step=pi / 2 / steps)


def plan_for(log_joint: LogJoint, proposal: Proposal, x: Tensor, settings: Annealing) -> Plan:
    """Choose step sizes, temperatures, and Student's t where it makes the better base.

    Args:
        proposal: with Gaussian components.
        x: images ``(N, *image_shape)``.
        settings: ``temperatures`` is the smallest number that an image gets; :data:`FACTORS` times it where the
            log weights of pilot chains spread too far.
    """
    proposal, k_hat = with_tails(proposal, log_joint, x)
    steps, spread = _tried(log_joint, proposal, x, settings)
    factor = torch.full_like(spread, FACTORS[-1])
    for smaller in reversed(FACTORS[:-1]):
        factor = torch.where(spread <= SPREAD * smaller**0.5, smaller, factor)
    return Plan(proposal, steps, settings.temperatures * factor.long(), k_hat)


def _tried(log_joint: LogJoint, proposal: Proposal, x: Tensor, settings: Annealing) -> tuple[Tensor, Tensor]:
    """Step sizes, and the spread of the log weights of pilot chains at the fewest temperatures, ``(N,)``, nats."""

    path = _whole(len(x), settings, proposal.loc)
    path.forward(*started(log_joint, proposal, x, proposal.choose(settings.pilot_chains)), steer=True)
    short = path.at(linear(settings.temperatures, proposal.loc))
    component = proposal.strata()
    log_weight, _ = short.forward(*started(log_joint, proposal, x, component))
    return path.step_sizes, within_strata(log_weight, component, proposal).clamp(max=1e3)


def within_strata(log_weight: Tensor, component: Tensor, proposal: Proposal) -> Tensor:
    """The standard deviation of log weights ``(C, N)`` around the mean of their component, ``(N,)``."""
    found = torch.zeros_like(log_weight[0])
    for s in range(proposal.counts.shape[1]):
        own = component == s
        count = own.sum(0).clamp(min=1)
        mean = torch.where(own, log_weight, 0).sum(0) / count
        found += torch.where(own, log_weight - mean, 0).square().sum(0)
    freedom = (len(log_weight) - proposal.modes).clamp(min=1)
    return (found / freedom).sqrt().nan_to_num(torch.inf)
