"""Draws from the true posterior p(z|x), by the chains that measure log p(x), moved on at its own temperature."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import pyro
import torch
from torch import Tensor, nn

from pyro_vae.estimators.annealing import Annealing
from pyro_vae.estimators.estimate import Estimate
from pyro_vae.estimators.evidence import Evidence, annealed, planned
from pyro_vae.estimators.pilot import Plan, path_of, started
from pyro_vae.estimators.sampling import Progress, images_at_once, silent
from pyro_vae.models import Model
from pyro_vae.seeds import batch_seed, batches, seeded

FINER = 4  #: times as many temperatures anneal an image again


@dataclass(frozen=True)
class Draws:
    """How many draws of each posterior are made.

    Attributes:
        chains: of each image.
        effective: chains are moved on until the draws are worth so many independent ones.
        most_moves: so many places of a chain are kept at most, one after each move.
        most_apart: of images whose draws are not worth enough then, the kept places are 2, 4, ... moves apart, and at
            most so many.
        finer: images whose draws are not worth enough even then are annealed again, by other chains and :data:`FINER`
            times as many temperatures, at most so often.

    Raises:
        ValueError: where one of them is too small, or the number of places is odd.
    """

    chains: int = 64
    effective: int = 500
    most_moves: int = 128
    most_apart: int = 16
    finer: int = 2

    def __post_init__(self) -> None:
        if min(self.chains, self.effective, self.most_apart, self.most_moves, 1 + self.finer) < 1:
            raise ValueError(f"all are at least 1, and finer at least 0: {self}")
        if self.most_moves % 2:
            raise ValueError(f"most_moves is even, not {self.most_moves}")


class TruePosterior(NamedTuple):
    """Weighted draws of p(z|x) for N images.

    Attributes:
        z: ``(S, N, D)``.
        weight: ``(S, N)``; sums to 1 over the draws of an image.
        log_joint: log p(x, z) of each draw, ``(S, N)``, nats.
        effective: what the draws of an image are worth in independent ones, ``(N,)``: by the spread of the chains'
            weights and by how far a chain's neighbouring draws resemble each other.
        log_evidence: from the same chains.
        modes: how many modes hold a hundredth of the posterior or more, ``(N,)``.
    """

    z: Tensor
    weight: Tensor
    log_joint: Tensor
    effective: Tensor
    log_evidence: Estimate
    modes: Tensor

    def resampled(self, count: int, seed: int = 0) -> Tensor:
        """Draws without weights, ``(count, N, D)``: systematic resampling, which repeats none more than it must."""
        with seeded(batch_seed(seed, count)):
            offset = torch.rand(self.weight.shape[1], 1, device=self.z.device, dtype=self.weight.dtype)
        ends = self.weight.cumsum(0).T.contiguous()
        points = (torch.arange(count, device=self.z.device) + offset) / count
        rows = torch.searchsorted(ends, points * ends[:, -1:]).clamp(max=len(self.z) - 1).T
        return self.z.gather(0, rows[..., None].expand(-1, -1, self.z.shape[-1]))


def posterior(
    model: Model,
    guide: nn.Module | None,
    x: Tensor,
    settings: Evidence = Evidence(),  # noqa: B008 (it is frozen)
    draws: Draws = Draws(),
    seed: int = 0,
    progress: Progress = silent,
) -> TruePosterior:
    """Weighted draws of p(z|x), as exact as :func:`log_evidence` is.

    Chains that were annealed to the posterior move on. A move leaves the posterior as it is, so that each of a chain's
    later places has the chain's weight.

    Args:
        guide: whose draws are among the starts.
        x: images ``(N, *image_shape)``.
        seed: of all draws.

    Raises:
        NotDefined: where there is neither a guide nor a prior to start from.
    """
    settings = replace(settings, annealing=replace(settings.annealing, chains=draws.chains))
    size = images_at_once(x, max(64, draws.chains))
    parts = []
    for part, own in batches(len(x), size, seed, progress):
        images = x[part]
        with seeded(own), pyro.validation_enabled(False), torch.no_grad():
            plan = planned(model, guide, images, settings, seed)
            rows, found = _in_groups(model, plan, images, settings.annealing, draws, draws.finer)
            order = rows.argsort()
            z, *others = _joined(found)
            parts.append(_Moved(z[:, order], *(column[..., order] for column in others)))
    z, weight, log_joint, effective, lower, error, modes = _joined(parts)
    how = "annealed from each image's best Gaussian, HMC"
    evidence = Estimate.over(lower, how, draws.chains, "lower", error)
    return TruePosterior(z, weight, log_joint, effective, evidence, modes)


class _Moved(NamedTuple):
    z: Tensor
    weight: Tensor
    log_joint: Tensor
    effective: Tensor
    lower: Tensor
    error: Tensor
    modes: Tensor

    def take(self, rows: Tensor) -> "_Moved":
        """That of some images."""
        return _Moved(*(column[:, rows] for column in self[:3]), *(column[rows] for column in self[3:]))


def _in_groups(
    model: Model, plan: Plan, x: Tensor, settings: Annealing, draws: Draws, again: int
) -> tuple[Tensor, list[_Moved]]:
    """The draws of all groups of a plan, and of which images they are, one after the other.

    Few chains may have all the weight, and then no move helps: images whose draws are not worth enough are annealed
    again, by other chains and more finely.
    """
    images, found = [], []
    for rows in plan.groups():
        one = _moved(model, plan.take(rows), x[rows], settings, draws)
        poor = one.effective < draws.effective
        if again and poor.any():
            finer = plan.take(rows[poor])
            finer = finer._replace(temperatures=FINER * finer.temperatures)
            which, others = _in_groups(model, finer, x[rows[poor]], settings, draws, again - 1)
            images.append(rows[poor][which])
            found += others
            rows, one = rows[~poor], one.take(~poor)
        if len(rows):
            images.append(rows)
            found.append(one)
    return torch.cat(images), found


def _joined(parts: list[_Moved]) -> _Moved:
    """Images side by side; where some have more draws than others, the shorter ones end in draws of no weight."""
    longest = max(len(part.z) for part in parts)

    def filled(value: Tensor, last: bool = False) -> Tensor:
        missing = longest - len(value)
        return torch.cat([value, value[-1:].expand(missing, *value.shape[1:]) * (1 if last else 0)])

    columns = zip(*parts, strict=True)
    z, weight, log_joint = next(columns), next(columns), next(columns)
    return _Moved(
        torch.cat([filled(value, last=True) for value in z], 1),
        torch.cat([filled(value) for value in weight], 1),
        torch.cat([filled(value, last=True) for value in log_joint], 1),
        *(torch.cat(column) for column in columns),
    )


def _moved(model: Model, plan: Plan, x: Tensor, settings: Annealing, draws: Draws) -> _Moved:
    """Anneal, then move on until the draws are worth enough."""
    chains = annealed(model.log_joint, plan, x, settings)
    of_chain = chains.log_weight.softmax(0)
    worth = 1 / of_chain.square().sum(0)
    at = chains.at
    places: list[Tensor] = []
    effective = torch.zeros_like(worth)
    while len(places) < draws.most_moves and (len(places) < 2 or effective.min() < draws.effective):
        at, _ = chains.path.move(at, chains.path.temperatures, chains.rescore)
        places.append(at.z)
        if len(places) > 1:
            effective = worth * len(places) / correlation_time(torch.stack(places))
    u = torch.stack(places)
    slow, apart = _below(effective, draws), 1
    while len(slow) and 2 * apart <= draws.most_apart:
        apart *= 2
        u[:, :, slow] = _further(
            model, plan.take(slow), x[slow], settings, chains.component[:, slow], u[:, :, slow], apart
        )
        effective[slow] = worth[slow] * len(u) / correlation_time(u[:, :, slow])
        slow = _below(effective, draws)
    z = torch.cat([plan.proposal.place(part, chains.component) for part in u])
    log_joint = torch.cat([model.log_joint(x, part) for part in z.split(settings.chains)])
    weight = (of_chain / len(u)).repeat(len(u), 1)
    return _Moved(z, weight, log_joint, effective, chains.log_evidence, chains.error, chains.modes)


def _below(effective: Tensor, draws: Draws) -> Tensor:
    """The images whose draws are not worth enough."""
    return (effective < draws.effective).nonzero()[:, 0]


def _further(
    model: Model, plan: Plan, x: Tensor, settings: Annealing, component: Tensor, u: Tensor, apart: int
) -> Tensor:
    """Places of chains that are twice as many moves apart: half of those before, and as many new ones.

    Args:
        component: of the chains, ``(C, N)``.
        u: their places, ``(K, C, N, D)``; K is even.
        apart: moves between two new places.
    """
    path = path_of(plan, int(plan.temperatures[0]), settings)
    at, rescore = started(model.log_joint, plan.proposal, x, component, u[-1])
    new = []
    for _ in range(len(u) // 2):
        for _ in range(apart):
            at, _ = path.move(at, path.temperatures, rescore)
        new.append(at.z)
    return torch.cat([u[1::2], torch.stack(new)])


def correlation_time(u: Tensor) -> Tensor:
    """(1 + r) / (1 - r) with r of neighbouring draws, the largest over the dimensions: ``(K, C, N, D) -> (N,)``.

    Places are in units of the base, around each chain's own component, so that their mean over chains is about 0; the
    squares are looked at, too, since a chain may go from side to side and keep its distance.
    """

    def lag(values: Tensor) -> Tensor:
        centred = values - values.mean((0, 1))
        product = (centred[1:] * centred[:-1]).mean((0, 1))
        return (product / centred.square().mean((0, 1)).clamp(min=1e-12)).clamp(0, 0.99)

    r = torch.maximum(lag(u), lag(u.square())).amax(-1)
    return (1 + r) / (1 - r)
