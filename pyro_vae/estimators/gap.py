"""The inference gap, log p(x) - elbo, split into what the family lacks and what amortization loses."""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import pyro
import torch
from torch import Tensor

from guides import Guide
from pyro_vae.estimators.estimate import Estimate, log_mean
from pyro_vae.estimators.family import copies, each_with_its_own
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
        lr: Adam's learning rate.
        check_every: steps between two checks; a check compares the mean ELBO of these steps.
        patience: number of checks in a row without a gain, after which an image is done.
        max_steps: maximum number of steps for an image.

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


Values = dict[str, Tensor]  #: lambda, and the networks where they are free; each with a row for each image


def log_weight(
    model: Model, guide: Guide, x: Tensor, lam: Tensor, num_samples: int, networks: Values | None = None
) -> Tensor:
    """log p(x, z) - log q(z; lambda) at draws of q: ``(num_samples, N)``, nats, with its gradient in lambda.

    Args:
        networks: each image's own copy of the guide's networks, ``(N, ...)`` each; its gradient is taken, too.
    """
    if networks:
        z, log_q = each_with_its_own(guide, networks, lam, num_samples)
        return model.log_joint(x, z) - log_q
    q = guide.posterior(lam)
    if not q.has_rsample:
        name = type(guide).__name__
        raise NotDefined(f"lambda is optimised through samples of q, and those of {name} carry no gradient")
    z = q.rsample(torch.Size([num_samples]))
    return model.log_joint(x, z) - q.log_prob(z)


class Optimum(NamedTuple):
    """The best posterior found for each image.

    Attributes:
        lam: variational parameters ``(N, P)``, or what :func:`optimize_posterior` has found.
        steps: that it took, ``(N,)``.
        settled: whether it came to rest, ``(N,)``.
        networks: each image's own networks, ``(N, ...)`` each, where they were free; otherwise empty.
    """

    lam: Tensor
    steps: Tensor
    settled: Tensor
    networks: Values = {}  # noqa: RUF012 (never changed)


def optimize_posterior(
    model: Model,
    guide: Guide,
    x: Tensor,
    settings: LocalOptimization = LocalOptimization(),
    seed: int = 0,
    progress: Progress = silent,
    networks: Literal["frozen", "free"] = "frozen",
) -> Optimum:
    r"""The family's best posterior for each image: Adam on lambda from ``guide.amortize(x)``.

    An image that is done takes no further part, so that the cost is that of the images which still gain.

    Args:
        x: images ``(N, *image_shape)``.
        seed: of the draws.
        networks: "frozen", where what ``posterior`` itself has learned, such as the networks of a flow, stays, and
            lambda alone moves; "free", where each image has its own copy of them, which moves too. The first is the
            best that this guide could do with another encoder; the second is the family's best.

    Raises:
        NotDefined: where the guide has no density, or has no networks to free.

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
            first = {"lam": guide.amortize(images)}
        with seeded(own), pyro.validation_enabled(False):
            if networks == "free":
                first |= copies(guide, first["lam"])
            parts.append(_optimize(model, guide, images, first, settings))
    steps, settled = (torch.cat(column) for column in ([p.steps for p in parts], [p.settled for p in parts]))
    found = {name: torch.cat([part.networks[name] for part in parts]) for name in parts[0].networks}
    return Optimum(torch.cat([part.lam for part in parts]), steps, settled, found)


def _optimize(model: Model, guide: Guide, x: Tensor, first: Values, settings: LocalOptimization) -> Optimum:
    n = len(x)
    found, best = {name: value.clone() for name, value in first.items()}, torch.full((n,), -torch.inf, device=x.device)
    since, steps = torch.zeros(2, n, dtype=torch.long, device=x.device)
    active = torch.arange(n, device=x.device)
    values = {name: value.clone().requires_grad_() for name, value in first.items()}
    adam = torch.optim.Adam(values.values(), lr=settings.lr)
    for _ in range(settings.max_steps // settings.check_every):
        mean = torch.zeros(len(active), device=x.device)
        for _ in range(settings.check_every):
            lam, *_ = values.values()
            own = {name: value for name, value in values.items() if name != "lam"}
            bound = log_weight(model, guide, x[active], lam, settings.num_samples, own).mean(0)
            gradients = torch.autograd.grad(-bound.sum(), list(values.values()))
            for value, gradient in zip(values.values(), gradients, strict=True):
                value.grad = gradient
            adam.step()
            mean += bound.detach() / settings.check_every
        gained = mean > best[active]
        for name, value in values.items():
            better = gained.view(-1, *[1] * (value.dim() - 1))
            found[name][active] = torch.where(better, value.detach(), found[name][active])
        best[active] = torch.where(gained, mean, best[active])
        since[active] = torch.where(gained, 0, since[active] + 1)
        steps[active] += settings.check_every
        going = since[active] < settings.patience
        if not going.all():
            active = active[going]
            if not len(active):
                break
            values, adam = _keep(values, adam, going, settings.lr)
    return Optimum(found.pop("lam"), steps, since >= settings.patience, found)


def _keep(values: Values, adam: torch.optim.Adam, rows: Tensor, lr: float) -> tuple[Values, torch.optim.Adam]:
    """The remaining rows with their Adam moments; dropping rows is exact because Adam is elementwise."""
    kept = {name: value.detach()[rows].requires_grad_() for name, value in values.items()}
    fresh = torch.optim.Adam(kept.values(), lr=lr)
    for name, value in kept.items():
        fresh.state[value] = {k: v[rows] if v.dim() else v for k, v in adam.state[values[name]].items()}
    return kept, fresh


class LocalBounds(NamedTuple):
    """Two lower bounds on log p(x) from the same draws of q(z; lambda)."""

    elbo: Estimate
    iwae: Estimate


@torch.no_grad()
def bounds_at(
    model: Model,
    guide: Guide,
    x: Tensor,
    lam: Tensor | Optimum,
    num_samples: int = 1000,
    chunk: int = 50,
    seed: int = 0,
) -> LocalBounds:
    """The ELBO and the importance-weighted bound of ``guide.posterior(lam)`` for each image, by fresh draws.

    At the optimised posterior q* the weights vary far less than at the amortized one, so that a K of 1,000 there bounds
    log p(x) more closely than 5,000 draws of the encoder's q.

    Args:
        x: images ``(N, *image_shape)``.
        lam: variational parameters ``(N, P)``, or what :func:`optimize_posterior` has found.
        num_samples: draws of z for each image, K of the importance-weighted bound.
        chunk: draws scored at once.

    Raises:
        NotDefined: where the guide has no density.
    """
    require(guide, "the ELBO")
    log_weights = []
    lam, networks = (lam.lam, lam.networks) if isinstance(lam, Optimum) else (lam, {})
    size = images_at_once(x, chunk)
    for part, own in batches(len(x), size, seed):
        require_log_joint(model, x[part], "the ELBO of q*", guide)
        copied = {name: value[part] for name, value in networks.items()}
        with seeded(own), pyro.validation_enabled(False):
            draws = [
                log_weight(model, guide, x[part], lam[part], min(chunk, num_samples - done), copied).double()
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
