"""Chains that are annealed from an easy distribution to the posterior, and back from exact draws of the posterior.

One machinery for every start: the prior (:mod:`~pyro_vae.estimators.ais`) and each image's own best Gaussian
(:mod:`~pyro_vae.estimators.evidence`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pyro_vae.estimators.hmc import Point, transition

Rescore = Callable[[Tensor], Point]
Tick = Callable[[], None]


def unseen() -> None:
    """The tick that nobody watches."""


@dataclass(frozen=True)
class Annealing:
    """How long and how finely to anneal.

    Attributes:
        chains: independent chains for each image.
        temperatures: distributions between the start and the posterior; the bracket closes as they grow.
        leapfrog_steps: gradient evaluations of each HMC transition.
        acceptance: the mean acceptance to which the step size of each temperature and image is steered.
        pilot_chains: chains of the pilot run that chooses the step sizes. The weights come from other chains, which
            take the sizes as they are; were they adapted on the way, the weights would no longer be unbiased.

    Raises:
        ValueError: where a count is below 1 or the acceptance is not a probability.
    """

    chains: int = 16
    temperatures: int = 1000
    leapfrog_steps: int = 10
    acceptance: float = 0.65
    pilot_chains: int = 2

    def __post_init__(self) -> None:
        if min(self.chains, self.temperatures, self.leapfrog_steps, self.pilot_chains) < 1:
            raise ValueError(f"chains, temperatures, leapfrog_steps and pilot_chains are at least 1: {self}")
        if not 0 < self.acceptance < 1:
            raise ValueError(f"acceptance lies between 0 and 1, not {self.acceptance}")


def sigmoid_schedule(temperatures: int, sharpness: float = 4.0) -> Tensor:
    r"""Inverse temperatures from 0 to 1, ``(temperatures + 1,)``, dense at both ends.

    :math:`\beta_t` is :math:`\sigma(\delta (2t/T - 1))`, shifted and scaled to run from 0 to 1 (Wu et al. 2017).

    >>> sigmoid_schedule(4)
    tensor([0.0000, 0.1050, 0.5000, 0.8950, 1.0000])
    """
    s = torch.sigmoid(sharpness * torch.linspace(-1, 1, temperatures + 1, dtype=torch.double))
    return ((s - s[0]) / (s[-1] - s[0])).float()


class Path:
    """The distributions between p_0(z) and p(x, z) for a batch of images, with an HMC step size for each.

    Args:
        betas: inverse temperatures from 0 to 1, ``(T + 1,)``.
        images: how many, N.
        settings: the path's other numbers; its length is that of ``betas``.
        first_step: the step size that a pilot run begins with.
        longest_step: no step size is above it.
    """

    def __init__(
        self, betas: Tensor, images: int, settings: Annealing, first_step: float = 0.5, longest_step: float = 2.0
    ):
        self.betas, self.settings = betas, settings
        self.temperatures, self.longest_step = len(betas) - 1, longest_step
        self.step_sizes = torch.full((len(betas), images, 1), first_step, device=betas.device)

    def _gain(self, at: Point, t: int) -> Tensor:
        """log f_t - log f_(t-1) at the chains' places."""
        return ((self.betas[t] - self.betas[t - 1]) * at.log_ratio).double()

    def forward(self, at: Point, rescore: Rescore, tick: Tick = unseen, steer: bool = False) -> tuple[Tensor, Point]:
        """log weights ``(C, N)`` of chains from p_0 up to the posterior, and where they end.

        In expectation exp of the weights is p(x).

        Args:
            at: draws of p_0.
            steer: adapt the step sizes on the way and leave them for later runs; the weights are then not for use. On a
                path of less than 100 temperatures each step takes up more of what it sees.
        """
        rate = 0.1 * max(1.0, 100 / self.temperatures)
        log_weight = self._gain(at, 1)
        for t in range(1, self.temperatures):
            at, acceptance = self.move(at, t, rescore)
            if steer:
                change = rate * (acceptance.mean(0) - self.settings.acceptance)
                self.step_sizes[t + 1 :] = (self.step_sizes[t] * change.exp()[:, None]).clamp(1e-4, self.longest_step)
            log_weight = log_weight + self._gain(at, t + 1)
            tick()
        return log_weight, at

    def reverse(self, at: Point, rescore: Rescore, tick: Tick = unseen) -> Tensor:
        """log weights ``(C, N)`` of chains from posterior draws down to p_0; in expectation exp of -them is 1/p(x)."""
        log_weight = self._gain(at, self.temperatures)
        for t in range(self.temperatures - 1, 0, -1):
            at, _ = self.move(at, t, rescore)
            log_weight = log_weight + self._gain(at, t)
            tick()
        return log_weight

    def move(self, at: Point, t: int, rescore: Rescore) -> tuple[Point, Tensor]:
        """One transition at the t-th temperature."""
        return transition(at, self.betas[t], self.step_sizes[t], self.settings.leapfrog_steps, rescore)

    def at(self, betas: Tensor) -> "Path":
        """A path through other temperatures that takes its step sizes from this one, by linear interpolation."""
        path = Path(betas, self.step_sizes.shape[1], self.settings, longest_step=self.longest_step)
        right = torch.searchsorted(self.betas, betas).clamp(1, self.temperatures)
        low, high = self.betas[right - 1], self.betas[right]
        share = ((betas - low) / (high - low))[:, None, None]
        path.step_sizes = torch.lerp(self.step_sizes[right - 1], self.step_sizes[right], share.to(self.step_sizes))
        return path
