"""log p(x) by a grid over a latent plane: the truth that estimators are held against where latent_dim is 2."""

import torch
from torch import Tensor

from pyro_vae.models import Model

REACH = 7.0  #: of the coarse grid, in standard deviations of the prior
COARSE = 0.1  #: its step
DEEP = 30.0  #: nats below the highest point that the fine grid leaves out


def plane(low: Tensor, high: Tensor, points: int) -> tuple[Tensor, float]:
    """Midpoints of equal cells of a box, ``(points^2, 2)``, and the logarithm of a cell's area."""
    shares = (torch.arange(points, dtype=torch.double) + 0.5) / points
    first, second = (low[i] + (high[i] - low[i]) * shares for i in range(2))
    area = ((high - low) / points).prod()
    return torch.cartesian_prod(first, second), area.log().item()


def grid_evidence(model: Model, x: Tensor, points: int = 200) -> Tensor:
    """log p(x) of each image by midpoints in a box around all that is not far below the highest point, ``(N,)``, nats.

    Args:
        model: of two latent dimensions, whose posteriors lie within :data:`REACH` of the origin.
        x: images ``(N, *image_shape)``.
        points: of the fine grid along each side.
    """
    box = torch.full((2,), REACH, dtype=torch.double)
    coarse, _ = plane(-box, box, int(2 * REACH / COARSE))
    found = []
    for image in x:

        def heights(z: Tensor, image: Tensor = image) -> Tensor:
            parts = z.float().split(5000)
            return torch.cat([model.log_joint(image[None], part[:, None])[:, 0] for part in parts]).double()

        with torch.no_grad():
            height = heights(coarse)
            near = coarse[height > height.max() - DEEP]
            fine, log_area = plane(near.amin(0) - COARSE, near.amax(0) + COARSE, points)
            found.append(heights(fine).logsumexp(0) + log_area)
    return torch.stack(found)
