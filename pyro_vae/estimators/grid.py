"""log p(x) and p(z|x) by a grid over a latent plane: the truth where latent_dim is 2."""

from typing import NamedTuple

import torch
from torch import Tensor

from pyro_vae.models import Model

REACH = 7.0  #: of the coarse grid, in standard deviations of the prior
COARSE = 0.1  #: its step
DEEP = 30.0  #: nats below the highest point that the fine grid leaves out


class PosteriorGrid(NamedTuple):
    """p(x, z) of one image on equal cells of a box that holds its posterior.

    Attributes:
        first, second: the middles of the cells along the two dimensions of z, ``(P,)``.
        log_joint: log p(x, z) there, ``(P, P)``; the first dimension of z is the first axis. Nats.
        log_area: of a cell.
        inside: whether the posterior ends before the edge of the coarse grid, so that the box holds all of it.
    """

    first: Tensor
    second: Tensor
    log_joint: Tensor
    log_area: float
    inside: bool

    @property
    def log_evidence(self) -> Tensor:
        """log p(x), a scalar."""
        return self.log_joint.logsumexp((0, 1)) + self.log_area

    @property
    def share(self) -> Tensor:
        """The posterior's mass in each cell, ``(P, P)``."""
        return self.log_joint.flatten().softmax(0).view_as(self.log_joint)


def plane(low: Tensor, high: Tensor, points: int) -> tuple[Tensor, float]:
    """Midpoints of equal cells of a box, ``(points^2, 2)``, and the logarithm of a cell's area."""
    shares = (torch.arange(points, dtype=torch.double) + 0.5) / points
    first, second = (low[i] + (high[i] - low[i]) * shares for i in range(2))
    area = ((high - low) / points).prod()
    return torch.cartesian_prod(first, second), area.log().item()


@torch.no_grad()
def posterior_grid(model: Model, image: Tensor, points: int = 200) -> PosteriorGrid:
    """The posterior of one image, by midpoints in a box around all that is not far below the highest point.

    Args:
        model: of two latent dimensions, whose posteriors lie within :data:`REACH` of the origin.
        image: ``(*image_shape)``.
        points: of the fine grid along each side, P.
    """

    def heights(z: Tensor) -> Tensor:
        parts = z.float().to(image.device).split(5000)
        return torch.cat([model.log_joint(image[None], part[:, None])[:, 0] for part in parts]).double().cpu()

    box = torch.full((2,), REACH, dtype=torch.double)
    coarse, _ = plane(-box, box, int(2 * REACH / COARSE))
    height = heights(coarse)
    near = coarse[height > height.max() - DEEP]
    fine, log_area = plane(near.amin(0) - COARSE, near.amax(0) + COARSE, points)
    z = fine.view(points, points, 2)
    inside = near.abs().max().item() < REACH - COARSE
    return PosteriorGrid(z[:, 0, 0], z[0, :, 1], heights(fine).view(points, points), log_area, inside)


def grid_evidence(model: Model, x: Tensor, points: int = 200) -> Tensor:
    """log p(x) of each image by :func:`posterior_grid`, ``(N,)``, nats.

    Args:
        x: images ``(N, *image_shape)``.
    """
    return torch.stack([posterior_grid(model, image, points).log_evidence for image in x])
