"""Hamiltonian Monte Carlo along a path from an easy distribution to the model, for many chains and images at once."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

LogJoint = Callable[[Tensor, Tensor], Tensor]  #: images and z to log p(x, z)
#: places ``(C, N, D)`` to log p_0 and log p(x, z) / p_0 there, ``(C, N)`` each
Densities = Callable[[Tensor], tuple[Tensor, Tensor]]


class Point(NamedTuple):
    """Chains at their places, with both ends of the path scored there; z is ``(C, N, D)``."""

    z: Tensor
    log_start: Tensor  #: log p_0(z), ``(C, N)``
    log_ratio: Tensor  #: log p(x, z) / p_0(z), ``(C, N)``
    grad_start: Tensor
    grad_ratio: Tensor

    def log_density(self, beta: Tensor) -> Tensor:
        """log f_beta(z) = log p_0(z) + beta log p(x, z) / p_0(z), not normalised."""
        return self.log_start + beta * self.log_ratio

    def gradient(self, beta: Tensor) -> Tensor:
        """Its gradient in z."""
        return self.grad_start + beta * self.grad_ratio


def score(densities: Densities, z: Tensor) -> Point:
    """Both log densities at z and their gradients; one pass through the decoder and back.

    Both are kept apart because they do not depend on beta: a move along the path costs no further pass.
    """
    z = z.detach().requires_grad_()
    with torch.enable_grad():
        start, ratio = densities(z)
        (grad_start,) = torch.autograd.grad(start.sum(), z, retain_graph=True)
        (grad_ratio,) = torch.autograd.grad(ratio.sum(), z)
    return Point(z.detach(), start.detach(), ratio.detach(), grad_start, grad_ratio)


def transition(
    at: Point, beta: Tensor, step_size: Tensor, leapfrog_steps: int, rescore: Callable[[Tensor], Point]
) -> tuple[Point, Tensor]:
    """One Hamiltonian step with f_beta as its target, reversible: the next points and the acceptance ``(C, N)``.

    The step is drawn within a fifth of ``step_size``, or a trajectory that is near a period of the target would bring
    its chain back to where it was.

    Args:
        step_size: ``(N, 1)``.
        rescore: z to its :class:`Point`.

    References:
        Neal 2011, MCMC using Hamiltonian dynamics, sections 3.2 and 5.3.
    """
    momentum = torch.randn_like(at.z)
    step_size = step_size * (0.8 + 0.4 * torch.rand_like(step_size))
    energy = at.log_density(beta) - momentum.square().sum(-1) / 2
    end = at
    momentum = momentum + step_size / 2 * end.gradient(beta)
    for i in range(leapfrog_steps):
        end = rescore(end.z + step_size * momentum)
        momentum = momentum + step_size * (1.0 if i + 1 < leapfrog_steps else 0.5) * end.gradient(beta)
    log_ratio = end.log_density(beta) - momentum.square().sum(-1) / 2 - energy
    acceptance = log_ratio.nan_to_num(-torch.inf).clamp(max=0).exp()  # a step that left the numbers is refused
    accept = torch.rand_like(acceptance) < acceptance
    moved = (torch.where(accept if a.dim() == 2 else accept[..., None], b, a) for a, b in zip(at, end, strict=True))
    return Point(*moved), acceptance
