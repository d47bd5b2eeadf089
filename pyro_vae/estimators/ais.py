"""Annealed importance sampling, and the bracket that bidirectional Monte Carlo puts around it on simulated images."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from pyro_vae.estimators.estimate import Estimate, log_mean
from pyro_vae.estimators.hmc import LogJoint, Point, score, transition
from pyro_vae.estimators.sampling import Progress, images_at_once, prior_of, silent
from pyro_vae.estimators.scoring import require_log_joint
from pyro_vae.models import Model
from pyro_vae.seeds import batch_seed, seeded

Start = Callable[[Tensor], dist.TorchDistribution]  #: images to a distribution over z that scores any z


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


class _Path:
    """The distributions between p_0(z) and p(x, z) for a batch of images, with an HMC step size for each."""

    def __init__(self, log_joint: LogJoint, start: dist.TorchDistribution, x: Tensor, settings: Annealing):
        self.start, self.images, self.settings = start, len(x), settings
        self.rescore: Callable[[Tensor], Point] = partial(score, log_joint, start, x)
        self.betas = sigmoid_schedule(settings.temperatures).to(x.device)
        self.step_sizes = torch.full((settings.temperatures + 1, self.images, 1), 0.5, device=x.device)

    def _gain(self, at: Point, t: int) -> Tensor:
        """log f_t - log f_(t-1) at the chains' places."""
        return ((self.betas[t] - self.betas[t - 1]) * (at.log_joint - at.log_start)).double()

    def forward(self, chains: int, tick: Callable[[], None], steer: bool = False) -> Tensor:
        """log weights ``(C, N)`` of chains from p_0 up to the posterior; in expectation exp of them is p(x).

        Args:
            steer: adapt the step sizes on the way and leave them for later runs; the weights are then not for use.
        """
        settings = self.settings
        shape = (chains, self.images) if self.start.batch_shape == () else (chains,)
        at = self.rescore(self.start.sample(shape))
        log_weight = self._gain(at, 1)
        for t in range(1, settings.temperatures):
            at, acceptance = transition(at, self.betas[t], self.step_sizes[t], settings.leapfrog_steps, self.rescore)
            if steer:
                change = 0.1 * (acceptance.mean(0) - settings.acceptance)
                self.step_sizes[t + 1 :] = (self.step_sizes[t] * change.exp()[:, None]).clamp(1e-4, 2.0)
            log_weight = log_weight + self._gain(at, t + 1)
            tick()
        return log_weight

    def reverse(self, z: Tensor, tick: Callable[[], None]) -> Tensor:
        """log weights ``(C, N)`` of chains from posterior draws down to p_0; in expectation exp of -them is 1/p(x)."""
        at = self.rescore(z)
        log_weight = self._gain(at, self.settings.temperatures)
        for t in range(self.settings.temperatures - 1, 0, -1):
            at, _ = transition(at, self.betas[t], self.step_sizes[t], self.settings.leapfrog_steps, self.rescore)
            log_weight = log_weight + self._gain(at, t)
            tick()
        return log_weight


def _run(
    model: Model, x: Tensor, z: Tensor | None, settings: Annealing, start: Start | None, seed: int, progress: Progress
) -> tuple[Tensor, Tensor | None]:
    """Forward and, from the exact draws ``z``, reverse log weights, ``(C, N)`` each."""
    start = start or (lambda images: prior_of(model, "AIS, where `start` is not given,"))
    size = images_at_once(x, settings.chains)
    runs = 2 if z is None else 3
    total = runs * settings.temperatures * len(x)
    forward, reverse = [], []
    for first in range(0, len(x), size):
        images = x[first : first + size]
        done = runs * settings.temperatures * first
        require_log_joint(model, images, "AIS")

        def tick(n: int = len(images)) -> None:
            nonlocal done
            done += n
            progress(done, total)

        with seeded(batch_seed(seed, first)), pyro.validation_enabled(False), torch.no_grad():
            path = _Path(model.log_joint, start(images), images, settings)
            path.forward(settings.pilot_chains, tick, steer=True)
            forward.append(path.forward(settings.chains, tick))
            if z is not None:
                exact = z[first : first + size].expand(settings.chains, -1, -1)
                reverse.append(path.reverse(exact, tick))
    progress(total, total)
    return torch.cat(forward, -1), torch.cat(reverse, -1) if reverse else None


def _bound(log_weight: Tensor, settings: Annealing, lower: bool) -> Estimate:
    sign = 1 if lower else -1
    mean, deviation = log_mean((sign * log_weight).logsumexp(0), (sign * 2 * log_weight).logsumexp(0), len(log_weight))
    how = f"{'AIS' if lower else 'reverse AIS'}, HMC, {settings.temperatures} temperatures"
    return Estimate.over(sign * mean, how, len(log_weight), "lower" if lower else "upper", deviation)


def ais(
    model: Model,
    x: Tensor,
    settings: Annealing = Annealing(),
    start: Start | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Estimate:
    r"""log p(x) by annealed importance sampling with HMC transitions, a lower bound in expectation; no guide in it.

    The path is :math:`f_\beta(z) = p_0(z)^{1-\beta} p(x, z)^\beta` with the inverse temperatures of
    :func:`sigmoid_schedule`.

    Args:
        x: images ``(N, *image_shape)``.
        start: images to p_0, the model's prior by default; for example
            ``lambda x: guide.posterior(guide.amortize(x))`` of a guide that scores any z.
        seed: of pilot and chains.

    Raises:
        NotDefined: where the model has no prior over z of its own and ``start`` is not given, or ``log_joint`` leaves
            out a mask or a scale of the model's program.

    References:
        Neal 2001, Annealed Importance Sampling.
        Wu, Burda, Salakhutdinov & Grosse 2017, On the Quantitative Analysis of Decoder-Based Generative Models.
    """
    forward, _ = _run(model, x, None, settings, start, seed, progress)
    return _bound(forward, settings, lower=True)


class Bracket(NamedTuple):
    """log p(x) of simulated images between two bounds; ``gap`` is upper - lower, an upper bound on either's error."""

    lower: Estimate
    upper: Estimate
    gap: Estimate


def bracket(
    model: Model,
    x: Tensor,
    z: Tensor,
    settings: Annealing = Annealing(),
    start: Start | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Bracket:
    r"""Bidirectional Monte Carlo: AIS up from p_0 and, from exact posterior draws, down again.

    Where x was simulated from the model, the z that made it is an exact draw from p(z|x); reverse chains begin there.
    What the bracket shows on simulated images is evidence for the same settings on real ones.

    Args:
        x: images ``(N, *image_shape)`` of :func:`~pyro_vae.estimators.simulate`.
        z: the latents that made them, ``(N, D)``.

    References:
        Grosse, Ghahramani & Adams 2015, Sandwiching the marginal likelihood using bidirectional Monte Carlo.
    """
    forward, reverse = _run(model, x, z, settings, start, seed, progress)
    assert reverse is not None
    lower, upper = _bound(forward, settings, lower=True), _bound(reverse, settings, lower=False)
    assert lower.per_image is not None
    assert upper.per_image is not None
    gap = Estimate.over(upper.per_image - lower.per_image, "bidirectional Monte Carlo", settings.chains, "upper")
    return Bracket(lower, upper, gap)
