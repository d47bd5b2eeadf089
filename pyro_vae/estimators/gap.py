"""The inference gap, log p(x) - elbo, split into what the family lacks and what amortization loses."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import pyro
import torch
from torch import Tensor

from guides import Guide
from pyro_vae.estimators.estimate import Estimate, log_mean
from pyro_vae.estimators.importance import unreliable
from pyro_vae.estimators.sampling import NotDefined, Progress, images_at_once, require, silent
from pyro_vae.estimators.scoring import require_log_joint
from pyro_vae.models import Model
from pyro_vae.seeds import batches, seeded


@dataclass(frozen=True)
class LocalOptimization:
    """How lambda is optimised for each image, Cremer et al.'s settings by default.

    Attributes:
        num_samples: draws of z for each image and step.
        lr: Adam's.
        check_every: steps between two checks; the mean ELBO of these steps is what a check looks at.
        patience: an image is done after so many checks in a row without a gain.
        max_steps: it is done after so many steps in any case.

    Raises:
        ValueError: where one of them is not positive, or the steps do not make one check.
    """

    num_samples: int = 100
    lr: float = 1e-3
    check_every: int = 100
    patience: int = 10
    max_steps: int = 10_000

    def __post_init__(self) -> None:
        if min(self.num_samples, self.lr, self.check_every, self.patience) <= 0 or self.max_steps < self.check_every:
            raise ValueError(f"all must be positive and max_steps at least check_every: {self}")


def log_weight(model: Model, guide: Guide, x: Tensor, lam: Tensor, num_samples: int) -> Tensor:
    """log p(x, z) - log q(z; lambda) at draws of q: ``(num_samples, N)``, nats, with its gradient in lambda."""
    q = guide.posterior(lam)
    if not q.has_rsample:
        name = type(guide).__name__
        raise NotDefined(f"lambda is optimised through samples of q, and those of {name} carry no gradient")
    z = q.rsample(torch.Size([num_samples]))
    return model.log_joint(x, z) - q.log_prob(z)


class Optimum(NamedTuple):
    """The best lambda found for each image, ``(N, P)``, the steps it took, ``(N,)``, and whether it came to rest."""

    lam: Tensor
    steps: Tensor
    settled: Tensor


def optimize_posterior(
    model: Model,
    guide: Guide,
    x: Tensor,
    settings: LocalOptimization = LocalOptimization(),
    seed: int = 0,
    progress: Progress = silent,
) -> Optimum:
    r"""The family's best posterior for each image: Adam on lambda from ``guide.amortize(x)``, weights held fixed.

    What ``posterior`` itself learned, such as the networks of a flow, stays; lambda alone moves. An image that is done
    takes no further part, so that the cost is that of the images which still gain.

    Args:
        x: images ``(N, *image_shape)``.
        seed: of the draws.

    Raises:
        NotDefined: where the guide has no density.

    References:
        Cremer, Li & Duvenaud 2018, Inference Suboptimality in Variational Autoencoders, section 4 and appendix.
    """
    require(guide, "the best posterior of the family")
    parts = []
    size = images_at_once(x, settings.num_samples)
    for rows, own in batches(len(x), size, seed, progress):
        images = x[rows]
        require_log_joint(model, images, "the best posterior of the family", guide)
        with torch.no_grad():
            first = guide.amortize(images)
        with seeded(own), pyro.validation_enabled(False):
            parts.append(_optimize(model, guide, images, first, settings))
    return Optimum(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _optimize(model: Model, guide: Guide, x: Tensor, first: Tensor, settings: LocalOptimization) -> Optimum:
    n = len(x)
    best_lam, best = first.clone(), torch.full((n,), -torch.inf, device=x.device)
    since, steps = torch.zeros(2, n, dtype=torch.long, device=x.device)
    active = torch.arange(n, device=x.device)
    lam = first.clone().requires_grad_()
    adam = torch.optim.Adam([lam], lr=settings.lr)
    for _ in range(settings.max_steps // settings.check_every):
        mean = torch.zeros(len(active), device=x.device)
        for _ in range(settings.check_every):
            bound = log_weight(model, guide, x[active], lam, settings.num_samples).mean(0)
            (lam.grad,) = torch.autograd.grad(-bound.sum(), lam)
            adam.step()
            mean += bound.detach() / settings.check_every
        gained = mean > best[active]
        best_lam[active] = torch.where(gained[:, None], lam.detach(), best_lam[active])
        best[active] = torch.where(gained, mean, best[active])
        since[active] = torch.where(gained, 0, since[active] + 1)
        steps[active] += settings.check_every
        going = since[active] < settings.patience
        if not going.all():
            active = active[going]
            if not len(active):
                break
            lam, adam = _keep(lam, adam, going, settings.lr)
    return Optimum(best_lam, steps, since >= settings.patience)


def _keep(lam: Tensor, adam: torch.optim.Adam, rows: Tensor, lr: float) -> tuple[Tensor, torch.optim.Adam]:
    """The remaining rows with their Adam moments; dropping rows is exact because Adam is elementwise."""
    state = adam.state[lam]
    lam = lam.detach()[rows].requires_grad_()
    adam = torch.optim.Adam([lam], lr=lr)
    adam.state[lam] = {k: v[rows] if v.dim() else v for k, v in state.items()}
    return lam, adam


class LocalBounds(NamedTuple):
    """Two lower bounds on log p(x) from the same draws of q(z; lambda)."""

    elbo: Estimate
    iwae: Estimate


@torch.no_grad()
def bounds_at(
    model: Model, guide: Guide, x: Tensor, lam: Tensor, num_samples: int = 1000, chunk: int = 50, seed: int = 0
) -> LocalBounds:
    """The ELBO and the importance-weighted bound of ``guide.posterior(lam)`` for each image, by fresh draws.

    At the optimised posterior q* the weights vary far less than at the amortized one, so that a K of 1,000 there bounds
    log p(x) more closely than 5,000 draws of the encoder's q.

    Args:
        x: images ``(N, *image_shape)``.
        lam: variational parameters ``(N, P)``.
        num_samples: draws of z for each image, K of the importance-weighted bound.
        chunk: draws scored at once.

    Raises:
        NotDefined: where the guide has no density.
    """
    require(guide, "the ELBO")
    log_weights = []
    size = images_at_once(x, chunk)
    for part, own in batches(len(x), size, seed):
        require_log_joint(model, x[part], "the ELBO of q*", guide)
        with seeded(own), pyro.validation_enabled(False):
            draws = [
                log_weight(model, guide, x[part], lam[part], min(chunk, num_samples - done)).double()
                for done in range(0, num_samples, chunk)
            ]
        log_weights.append(torch.cat(draws))
    weights = torch.cat(log_weights, -1)
    mean, deviation = weights.mean(0), weights.std(0) / num_samples**0.5
    bound, spread = log_mean(weights.logsumexp(0), (2 * weights).logsumexp(0), num_samples, weights)
    heavy = unreliable(weights, num_samples)
    return LocalBounds(
        Estimate.over(mean, "mean over draws of q", num_samples, "lower", deviation),
        replace(Estimate.over(bound, f"iwae_{num_samples}", num_samples, "lower", spread), unreliable=heavy),
    )


class GapSplit(NamedTuple):
    """inference_gap = approximation_gap + amortization_gap, nats per image (Cremer et al. 2018, equations 4 and 5)."""

    approximation_gap: Estimate
    amortization_gap: Estimate
    inference_gap: Estimate


def split_gap(
    log_evidence: Tensor, elbo_best: Estimate, elbo_amortized: Estimate, evidence: str = "log p(x)"
) -> GapSplit:
    """The gaps of each image from its log p(x), its family's best ELBO and its amortized ELBO.

    Args:
        log_evidence: log p(x) or a lower bound on it, ``(N,)``, nats. It is one estimate: Cremer et al. take the larger
            of AIS and IWAE for each image, but the maximum of noisy estimates is above the larger of their
            expectations, and so may be above log p(x).
        elbo_best: of :func:`bounds_at` the optimum.
        elbo_amortized: of the guide as it is.
        evidence: what ``log_evidence`` is, in words, for the estimator of the gaps.

    Where log p(x) and the best ELBO are bounds from below, so are the inference and the amortization gap; the
    approximation gap, the difference of both, is an estimate without a side.
    """
    best, amortized = elbo_best.per_image, elbo_amortized.per_image
    assert best is not None
    assert amortized is not None
    log_p = log_evidence.detach().double().cpu()
    samples = elbo_best.samples
    return GapSplit(
        Estimate.over(log_p - best, f"{evidence} - elbo[q*]", samples),
        Estimate.over(best - amortized, "elbo[q*] - elbo[q]", samples, "lower"),
        Estimate.over(log_p - amortized, f"{evidence} - elbo[q]", elbo_amortized.samples, "lower"),
    )
