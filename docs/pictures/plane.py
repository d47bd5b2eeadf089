"""The true posterior of an image in two latent dimensions, on a grid, beside a guide's q(z|x)."""

from dataclasses import dataclass
from math import log

import numpy as np
import torch
from matplotlib.axes import Axes
from pyro.distributions import TorchDistribution
from scipy import stats
from torch import Tensor

from pyro_vae.models import Model

POINTS = 161  #: along a side of the grid
LEVELS = (0.9, 0.5)  #: of the mass within the contours


@dataclass(frozen=True)
class Plane:
    """p(z|x) of one image on a grid.

    Attributes:
        across: the first coordinate of the grid's columns, ``(S,)``.
        up: the second coordinate of its rows, ``(S,)``.
        density: p(z|x) at the points, ``(S, S)``, rows go up.
        log_evidence: log p(x), nats.
    """

    across: Tensor
    up: Tensor
    density: Tensor
    log_evidence: float

    @property
    def points(self) -> Tensor:
        """The grid's points, ``(S, S, 2)``."""
        return torch.stack(torch.meshgrid(self.across, self.up, indexing="xy"), -1)


def on_grid(model: Model, x: Tensor, across: Tensor, up: Tensor) -> Plane:
    """Bayes' rule on a grid, for an image ``(1, *image_shape)``."""
    z = torch.stack(torch.meshgrid(across, up, indexing="xy"), -1)
    with torch.no_grad():
        joint = model.log_joint(x, z.reshape(-1, 1, 2)).reshape(z.shape[:-1]).double()
    cell = log(float(across[1] - across[0]) * float(up[1] - up[0]))
    evidence = joint.logsumexp((0, 1)) + cell
    return Plane(across, up, (joint - evidence).exp(), evidence.item())


def true_posterior(model: Model, x: Tensor) -> Plane:
    """The posterior on a grid that is just large enough for it: a coarse grid finds where it lies."""
    side = torch.linspace(-6, 6, 401)
    coarse = on_grid(model, x, side, side)
    mass = coarse.density / coarse.density.sum()
    ends = []
    for axis in (0, 1):
        total = mass.sum(axis).cumsum(0)
        low, high = side[(total > 1e-4).nonzero()[0].item()], side[(total > 1 - 1e-4).nonzero()[0].item()]
        margin = 0.15 * (high - low) + 0.06
        ends.append(torch.linspace(float(low - margin), float(high + margin), POINTS))
    return on_grid(model, x, *ends)


def density_of(q: TorchDistribution, plane: Plane, scores_any_z: bool) -> Tensor:
    """q's density at the grid's points; of a family that scores only its own draws, from many draws."""
    points = plane.points.reshape(-1, 1, 2)
    with torch.no_grad():
        if scores_any_z:
            return q.log_prob(points.float()).exp().reshape(POINTS, POINTS)
        draws = q.sample(torch.Size([20_000])).reshape(-1, 2)
    smooth = stats.gaussian_kde(draws.T.numpy(), bw_method=0.12)
    return torch.from_numpy(smooth(points.reshape(-1, 2).T.numpy())).reshape(POINTS, POINTS)


def heights(density: np.ndarray) -> list[float]:
    """The densities that enclose the shares LEVELS of the mass, rising."""
    falling = np.sort(density.ravel())[::-1]
    total = falling.cumsum() / falling.sum()
    return sorted({float(falling[np.searchsorted(total, level)]) for level in LEVELS})


def draw_true(axes: Axes, plane: Plane) -> None:
    """The true posterior as gray areas with 90 % and 50 % of its mass."""
    density = plane.density.numpy()
    levels = [*heights(density), density.max() * 1.01]
    axes.contourf(plane.across, plane.up, density, levels, colors=["0.83", "0.62"])


def draw_guide(axes: Axes, plane: Plane, density: Tensor, colour: str, line: str) -> None:
    """A guide's q(z|x) as lines around 90 % and 50 % of its mass."""
    found = density.numpy()
    if (levels := heights(found)) and found.max() > 0:
        axes.contour(plane.across, plane.up, found, levels, colors=[colour], linestyles=[line], linewidths=1.6)
