"""Annealed importance sampling, and the bracket that bidirectional Monte Carlo puts around it on simulated images."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from pyro_vae.estimators.annealing import Annealing, Path, sigmoid_schedule
from pyro_vae.estimators.estimate import Estimate, log_mean
from pyro_vae.estimators.hmc import Densities, score
from pyro_vae.estimators.sampling import Progress, images_at_once, prior_of, silent
from pyro_vae.estimators.scoring import require_log_joint
from pyro_vae.models import Model
from pyro_vae.seeds import batches, seeded

DEFAULT = Annealing()
Start = Callable[[Tensor], dist.TorchDistribution]  #: images to a distribution over z that scores any z


def path_from(model: Model, start: dist.TorchDistribution, x: Tensor) -> Densities:
    """Both ends of the path from ``start`` to p(x, z)."""

    def densities(z: Tensor) -> tuple[Tensor, Tensor]:
        first = start.log_prob(z)
        return first, model.log_joint(x, z) - first

    return densities


def _run(
    model: Model, x: Tensor, z: Tensor | None, settings: Annealing, start: Start | None, seed: int, progress: Progress
) -> tuple[Tensor, Tensor | None]:
    """Forward and, from the exact draws ``z``, reverse log weights, ``(C, N)`` each."""
    start = start or (lambda images: prior_of(model, "AIS, where `start` is not given,"))
    size = images_at_once(x, settings.chains)
    runs = 2 if z is None else 3
    total = runs * settings.temperatures * len(x)
    forward, reverse = [], []
    for rows, own in batches(len(x), size, seed):
        images = x[rows]
        done = runs * settings.temperatures * rows.start
        require_log_joint(model, images, "AIS")

        def tick(n: int = len(images)) -> None:
            nonlocal done
            done += n
            progress(done, total)

        with seeded(own), pyro.validation_enabled(False), torch.no_grad():
            origin = start(images)
            shape = (len(images),) if origin.batch_shape == () else ()
            rescore = partial(score, path_from(model, origin, images))
            path = Path(sigmoid_schedule(settings.temperatures).to(x.device), len(images), settings)
            path.forward(rescore(origin.sample((settings.pilot_chains, *shape))), rescore, tick, steer=True)
            forward.append(path.forward(rescore(origin.sample((settings.chains, *shape))), rescore, tick)[0])
            if z is not None:
                exact = z[rows].expand(settings.chains, -1, -1)
                reverse.append(path.reverse(rescore(exact), rescore, tick))
    progress(total, total)
    return torch.cat(forward, -1), torch.cat(reverse, -1) if reverse else None


def _bound(log_weight: Tensor, settings: Annealing, lower: bool) -> Estimate:
    sign = 1 if lower else -1
    signed = sign * log_weight
    mean, deviation = log_mean(signed.logsumexp(0), (2 * signed).logsumexp(0), len(signed), signed)
    how = f"{'AIS' if lower else 'reverse AIS'}, HMC, {settings.temperatures} temperatures"
    return Estimate.over(sign * mean, how, len(log_weight), "lower" if lower else "upper", deviation)


def ais(
    model: Model,
    x: Tensor,
    settings: Annealing = DEFAULT,
    start: Start | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Estimate:
    r"""log p(x) by annealed importance sampling with HMC transitions, a lower bound in expectation; no guide in it.

    The path is :math:`f_\beta(z) = p_0(z)^{1-\beta} p(x, z)^\beta` with the inverse temperatures of
    :func:`sigmoid_schedule`. ``sampling_error`` is the jackknife's over chains and is about the estimate's own
    expectation, which with few chains lies below log p(x): see :func:`bracket` for how far. One chain gives no error.

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

    @classmethod
    def between(cls, lower: Estimate, upper: Estimate) -> "Bracket":
        """The bracket of two bounds on the same images."""
        assert lower.per_image is not None
        assert upper.per_image is not None
        difference = upper.per_image - lower.per_image
        return cls(lower, upper, Estimate.over(difference, "bidirectional Monte Carlo", lower.samples, "upper"))


def bracket(
    model: Model,
    x: Tensor,
    z: Tensor,
    settings: Annealing = DEFAULT,
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
    return Bracket.between(_bound(forward, settings, lower=True), _bound(reverse, settings, lower=False))
