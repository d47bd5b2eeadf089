"""The best Gaussian of any covariance for a posterior: from a maximum and its curvature, by the path gradient."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pyro_vae.estimators.hmc import LogJoint


@dataclass(frozen=True)
class GaussianFit:
    """How a Gaussian q* is fitted to a posterior.

    Attributes:
        steps: number of Adam steps, on mean and Cholesky factor in units of the posterior's width at its maximum.
        draws: samples of z for each step, in antithetic pairs; an even number.
        lr: Adam's first learning rate, which falls to 0.

    Raises:
        ValueError: where one of them is not positive, or the number of draws is odd.
    """

    steps: int = 150
    draws: int = 16
    lr: float = 0.05

    def __post_init__(self) -> None:
        if min(self.steps, self.draws, self.lr) <= 0 or self.draws % 2:
            raise ValueError(f"all must be positive and the number of draws even: {self}")


class Gaussians(NamedTuple):
    """Means ``(M, D)``, Cholesky factors ``(M, D, D)``, and the ELBO of each over the last steps, nats, ``(M,)``."""

    loc: Tensor
    scale_tril: Tensor
    elbo: Tensor


def slope(log_joint: LogJoint, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """log p(x, z) and its gradient in z; what is no number counts as no slope."""
    z = z.detach().requires_grad_()
    with torch.enable_grad():
        height = log_joint(x, z)
        (gradient,) = torch.autograd.grad(height.sum(), z)
    return height.detach(), gradient.nan_to_num(0.0, 0.0, 0.0)


def curvature(log_joint: LogJoint, x: Tensor, z: Tensor) -> Tensor:
    """Minus the Hessian of log p(x, z) in z, row by row: ``(M, *image_shape), (M, D) -> (M, D, D)``.

    By central differences of gradients, which ask for no second derivative of the model: first a hundredth apart, then
    a tenth of the width that the first ones say.
    """
    axes = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)[:, None]
    step = torch.full_like(z, 0.01)
    for _ in range(2):
        shift = axes * step
        above, below = (slope(log_joint, x, z + sign * shift)[1] for sign in (1, -1))
        hessian = ((above - below) / (2 * step.T[..., None])).movedim(0, -1)
        diagonal = hessian.diagonal(dim1=-2, dim2=-1).abs()
        step = (0.1 / diagonal.clamp(min=1e-4).sqrt()).clamp(max=0.1)
    return -(hessian + hessian.mT) / 2


def laplace(log_joint: LogJoint, x: Tensor, z: Tensor) -> Tensor:
    """A Cholesky factor of the covariance that the curvature at z gives, ``(M, D, D)``.

    Where z is not quite a maximum, the curvature is taken without its sign. No direction is taken to be more than
    thirty times as wide as the narrowest one.
    """
    values, vectors = torch.linalg.eigh(curvature(log_joint, x, z).double())
    values = values.abs()
    values = values.clamp(min=1e-3 * values.amax(-1, keepdim=True)).clamp(min=1e-8)
    covariance = (vectors / values[:, None]) @ vectors.mT
    return torch.linalg.cholesky(covariance).to(z.dtype)


def ascend(log_joint: LogJoint, x: Tensor, z: Tensor, width: Tensor, steps: int = 6) -> Tensor:
    """Newton's steps with one curvature for all, each row's halved until it goes up."""
    height, gradient = slope(log_joint, x, z)
    length = torch.ones_like(height)
    for _ in range(steps):
        there = z + length[:, None] * _times(width, _times(width.mT, gradient))
        other, turned = slope(log_joint, x, there)
        up = other > height
        z, height = torch.where(up[:, None], there, z), torch.where(up, other, height)
        gradient = torch.where(up[:, None], turned, gradient)
        length = torch.where(up, length, length / 4)
    return z


def fit_gaussians(log_joint: LogJoint, x: Tensor, z: Tensor, settings: GaussianFit) -> Gaussians:
    r"""Maximise the ELBO of :math:`N(\mu, L L^T)` for each row, starting from the Laplace approximation
    at the maximum near z.

    The gradient is the path's alone, without the score of q, whose mean is zero: where q is the posterior it has no
    noise at all (Roeder, Wu & Duvenaud 2017).

    Args:
        x: an image for each row, ``(M, *image_shape)``.
        z: a maximum of log p(x, z) for each row, ``(M, D)``.
    """
    origin = ascend(log_joint, x, z, laplace(log_joint, x, z))
    width = laplace(log_joint, x, origin)
    m, tril = torch.zeros_like(z), torch.zeros_like(width)  # in units of width; the diagonal of tril is a logarithm
    adam = torch.optim.Adam([m, tril], lr=settings.lr)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, settings.steps)
    elbo, last = torch.zeros_like(z[:, 0]), max(1, settings.steps // 5)
    for step in range(settings.steps):
        factor = _factor(tril)
        u = torch.randn(settings.draws // 2, *z.shape, dtype=z.dtype, device=z.device)
        u = torch.cat([u, -u])
        log_p, gradient = slope(log_joint, x, origin + _times(width, m + _times(factor, u)))
        back = torch.linalg.solve_triangular(factor.mT, u.movedim(0, -1), upper=True).movedim(-1, 0)
        path = _times(width.mT, gradient) + back
        pull = torch.einsum("snd,sne->nde", path, u).tril() / settings.draws
        diagonal = pull.diagonal(dim1=-2, dim2=-1) * factor.diagonal(dim1=-2, dim2=-1)
        m.grad, tril.grad = -path.mean(0), -(pull.tril(-1) + torch.diag_embed(diagonal))
        if step >= settings.steps - last:
            entropy = u.square().sum(-1) / 2 + tril.diagonal(dim1=-2, dim2=-1).sum(-1)
            elbo += (log_p + entropy).mean(0) / last
        adam.step()
        falling.step()
    scale_tril = width @ _factor(tril)
    log_width = width.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    elbo = elbo + log_width + z.shape[-1] / 2 * torch.tensor(2 * torch.pi).log()
    return Gaussians(origin + _times(width, m), scale_tril, elbo)


def _factor(tril: Tensor) -> Tensor:
    return tril.tril(-1) + torch.diag_embed(tril.diagonal(dim1=-2, dim2=-1).exp())


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    """``(M, D, D), (..., M, D) -> (..., M, D)``."""
    return torch.einsum("nde,...ne->...nd", matrix, vector)
