"""Where the posterior of each image has its mass: local maxima of log p(x, z), found from many starts."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pyro_vae.estimators.hmc import LogJoint
from pyro_vae.estimators.sampling import NotDefined, posterior_draws

DIP = 1.0  #: nats below the lower end that make the line between two maxima a valley
POINTS = 7  #: at which that line is looked at


@dataclass(frozen=True)
class Search:
    """How local maxima of log p(x, z) are looked for.

    Attributes:
        candidates: draws of each kind: of the prior, of the guide for other images, and of the guide for the image.
        starts: number of starting points of each kind: the best by log p(x, z), then, of the better half, those that
            are farthest from the ones before.
        steps: number of Adam steps.
        lr: Adam's first learning rate, which falls to 0.
        modes: maximum number of maxima that are kept for an image, the highest ones.
        margin: a maximum that is lower than the highest one by more than this is not kept, nats.

    Raises:
        ValueError: where one of them is not positive.
    """

    candidates: int = 32
    starts: int = 2
    steps: int = 40
    lr: float = 0.1
    modes: int = 3
    margin: float = 15.0

    def __post_init__(self) -> None:
        if min(self.candidates, self.starts, self.steps, self.lr, self.modes, self.margin) <= 0:
            raise ValueError(f"all must be positive: {self}")


class Modes(NamedTuple):
    """Maxima of all images in one list: of which image each is, ``(M,)``, and where, ``(M, D)``, images in order."""

    image: Tensor
    z: Tensor


def find_modes(model: nn.Module, guide: nn.Module | None, x: Tensor, search: Search, seed: int = 0) -> Modes:
    """Distinct maxima of log p(x, z) for each image.

    Two maxima are one mode unless log p(x, z) has a dip of more than :data:`DIP` nats on the line between them.

    Args:
        guide: whose draws are among the starts; only drawn from, so that any guide will do.
        x: images ``(N, *image_shape)``.
        seed: of the guide's draws; the prior's come from torch's generator as it is.

    Raises:
        NotDefined: where there is neither a guide nor a prior to start from.
    """
    log_joint: LogJoint = model.log_joint  # type: ignore[assignment]
    z, height = climb(log_joint, x, screened(model, guide, x, search, seed), search)
    order = height.argsort(0, descending=True)
    height = height.gather(0, order)
    z = z.gather(0, order[..., None].expand_as(z))
    kept = distinct(log_joint, x, z, height, search)
    image, start = kept.T.nonzero(as_tuple=True)
    return Modes(image, z[start, image])


@torch.no_grad()
def screened(model: nn.Module, guide: nn.Module | None, x: Tensor, search: Search, seed: int) -> Tensor:
    """The best candidates of each kind by log p(x, z): ``(K, N, D)``."""
    kinds = []
    if guide is not None:
        own = posterior_draws(guide, x, search.candidates, seed)
        kinds.append(own)
        if len(x) > 1:
            shifts = range(1, min(search.candidates, len(x) - 1) + 1)
            kinds.append(torch.stack([own[0].roll(shift, 0) for shift in shifts]))
    prior: Callable | None = getattr(model, "prior", None)
    if callable(prior):
        kinds.append(prior().sample((search.candidates, len(x))))
    if not kinds:
        raise NotDefined(f"log p(x) needs a guide, or a model with `prior()`, and {type(model).__name__} has none")
    return torch.cat([spread_out(z, model.log_joint(x, z), search.starts) for z in kinds])  # type: ignore[operator]


def spread_out(z: Tensor, height: Tensor, count: int) -> Tensor:
    """The highest of the places ``(K, N, D)``, then those of the higher half that are farthest from the ones before."""
    order = height.nan_to_num(-torch.inf).argsort(0, descending=True)[: max(1, -(-len(z) // 2))]
    z = z.gather(0, order[..., None].expand(-1, -1, z.shape[-1]))
    chosen, distance = [z[0]], torch.full_like(z[..., 0], torch.inf)
    for _ in range(min(count, len(z)) - 1):
        distance = torch.minimum(distance, (z - chosen[-1]).norm(dim=-1))
        farthest = distance.argmax(0)
        chosen.append(z[farthest, torch.arange(z.shape[1], device=z.device)])
    return torch.stack(chosen)


def climb(log_joint: LogJoint, x: Tensor, z: Tensor, search: Search) -> tuple[Tensor, Tensor]:
    """Adam on log p(x, z) from ``z``, ``(K, N, D)``; the places and their heights ``(K, N)``."""
    z = z.clone().requires_grad_()
    adam = torch.optim.Adam([z], lr=search.lr)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, search.steps)
    with torch.enable_grad():
        for _ in range(search.steps):
            (z.grad,) = torch.autograd.grad(-log_joint(x, z).sum(), z)
            z.grad.nan_to_num_(0.0, 0.0, 0.0)
            adam.step()
            falling.step()
    z = z.detach()
    with torch.no_grad():
        return z, log_joint(x, z).nan_to_num(-torch.inf)


@torch.no_grad()
def distinct(log_joint: LogJoint, x: Tensor, z: Tensor, height: Tensor, search: Search) -> Tensor:
    """Which of the places, from the highest down, are modes of their own: ``(K, N)``."""
    pairs = list(combinations(range(len(z)), 2))
    kept = torch.zeros_like(height, dtype=torch.bool)
    kept[0] = True
    if not pairs:
        return kept
    shares = torch.linspace(0, 1, POINTS + 2, device=z.device, dtype=z.dtype)[1:-1, None, None]
    lines = torch.cat([torch.lerp(z[a], z[b], shares) for a, b in pairs])
    lowest = log_joint(x, lines).unflatten(0, (len(pairs), POINTS)).amin(1)
    valley = {(a, b): lowest[i] < torch.minimum(height[a], height[b]) - DIP for i, (a, b) in enumerate(pairs)}
    for b in range(1, len(z)):
        own = height[b] > height[0] - search.margin
        for a in range(b):
            own &= ~kept[a] | valley[a, b]
        kept[b] = own & (kept[:b].sum(0) < search.modes)
    return kept
