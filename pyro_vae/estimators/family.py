"""A guide's family with its networks free: each image has its own copy of what ``posterior`` itself has learned."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from guides import Guide
from pyro_vae.estimators.sampling import NotDefined


class _Draw(nn.Module):
    """Draws of q of one image with their log densities, as a module whose parameters can be replaced."""

    def __init__(self, guide: Guide):
        super().__init__()
        self.guide = guide

    def forward(self, lam: Tensor, count: int) -> tuple[Tensor, Tensor]:
        q: Any = self.guide.posterior(lam[None])
        z = q.rsample(torch.Size([count]))
        return z[:, 0], q.log_prob(z)[:, 0]


def network_names(guide: Guide, lam: Tensor) -> list[str]:
    """The names of the guide's parameters that ``posterior`` uses beside lambda.

    Raises:
        NotDefined: where samples of q carry no gradient.
    """
    q = guide.posterior(lam[:1])
    if not q.has_rsample:
        raise NotDefined(f"q is optimised through its samples, and those of {type(guide).__name__} carry no gradient")
    frozen = {name: one.detach().requires_grad_() for name, one in guide.named_parameters()}
    z, log_q = functional_call(_Draw(guide), {f"guide.{name}": one for name, one in frozen.items()}, (lam[0], 2))
    scalar = z.sum() + log_q.sum()
    if not scalar.requires_grad:
        return []
    gradients = torch.autograd.grad(scalar, list(frozen.values()), allow_unused=True)
    return [name for name, gradient in zip(frozen, gradients, strict=True) if gradient is not None]


def has_networks(guide: Guide, lam: Tensor) -> bool:
    """Whether ``posterior`` has learned something of its own beside lambda ``(N, P)``."""
    with torch.enable_grad():
        return bool(network_names(guide, lam.detach()))


def copies(guide: Guide, lam: Tensor) -> dict[str, Tensor]:
    """A copy for each image of the networks that ``posterior`` uses: by name, ``(N, ...)`` each.

    Raises:
        NotDefined: where there are none, so that lambda is all of the family.
    """
    with torch.enable_grad():
        names = network_names(guide, lam.detach())
    if not names:
        raise NotDefined(f"{type(guide).__name__} has no networks beside lambda, so that lambda is all of its family")
    found = dict(guide.named_parameters())
    return {name: found[name].detach().expand(len(lam), *found[name].shape).clone() for name in names}


def each_with_its_own(guide: Guide, networks: dict[str, Tensor], lam: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Draws of q of each image by its own networks, with their log densities.

    With gradients, for the search, all images are drawn at once and share their noise, which biases none of them;
    without, where the draws are averaged over images, each image has its own noise.

    Args:
        networks: of :func:`copies`.
        lam: variational parameters ``(N, P)``.
        count: draws of each.

    Returns:
        ``(count, N, D)`` and ``(count, N)``, nats.
    """
    draw = _Draw(guide)

    def one(own: dict[str, Tensor], of_image: Tensor) -> tuple[Tensor, Tensor]:
        return functional_call(draw, own, (of_image, count))

    own = {f"guide.{name}": value for name, value in networks.items()}
    if torch.is_grad_enabled():
        z, log_q = vmap(one, randomness="same")(own, lam)
        return z.transpose(0, 1), log_q.transpose(0, 1)
    rows = [one({name: value[i] for name, value in own.items()}, lam[i]) for i in range(len(lam))]
    z, log_q = (torch.stack(column, 1) for column in zip(*rows, strict=True))
    return z, log_q
