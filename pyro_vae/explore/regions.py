"""Where q(z|x) and the true posterior are: the smallest regions with 50 and 90 % of the mass, as lines in a plane."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pyro_vae.engine.precision import exact
from pyro_vae.estimators.grid import PosteriorGrid, plane
from pyro_vae.explore.opened import Opened

LEVELS = (0.9, 0.5)  #: of the mass within a region
POINTS = 100  #: of the grid on which a density of q is looked at, along each side

Line = list[list[float]]  #: the corners of a closed line, each ``[across, up]``


def of_grid(grid: PosteriorGrid) -> list[Line]:
    """The regions of a posterior that is known on a grid of two dimensions."""
    return _lines(grid.first.numpy(), grid.second.numpy(), grid.share.T.numpy(), _edges(grid.share))


@torch.no_grad()
def of_guide(opened: Opened, x: Tensor, draws: Tensor) -> list[Line]:
    """The regions of q(z|x) in two dimensions, exact where q scores any z, else from its draws.

    Args:
        x: one image ``(1, C, H, W)``.
        draws: of its q, ``(S, 2)``.
    """
    guide = opened.run.guide
    if not (guide.has_density and guide.scores_any_z):
        return of_draws(draws)
    low, high = _box(draws)
    z, _ = plane(low, high, POINTS)
    with exact(x.device):
        log_q = guide.posterior(guide.amortize(x)).log_prob(z.float().to(x.device)[:, None])[:, 0].double().cpu()
    share = log_q.softmax(0).view(POINTS, POINTS)
    places = z.view(POINTS, POINTS, 2).numpy()
    return _lines(places[:, 0, 0], places[0, :, 1], share.T.numpy(), _edges(share))


def of_draws(draws: Tensor) -> list[Line]:
    """The regions of a density from its draws ``(S, 2)``, by a kernel."""
    from pyro_vae.posterior_pictures import SIDE, kernel_density

    low, high = _box(draws)
    across, up = (np.linspace(low[i].item(), high[i].item(), SIDE) for i in (0, 1))
    places = np.stack(np.meshgrid(across, up), -1).reshape(-1, 2)
    density, edges = kernel_density(draws.double().cpu().numpy(), places)
    return _lines(across, up, density, edges)


def _box(draws: Tensor) -> tuple[Tensor, Tensor]:
    """A box around draws ``(S, 2)``, with room for their tails."""
    found = draws.double().cpu()
    low, high = found.quantile(0.001, 0), found.quantile(0.999, 0)
    room = 0.25 * (high - low) + 1e-3
    return low - room, high + room


def _edges(share: Tensor) -> list[float]:
    """The shares of the cells at the edges of the smallest regions of :data:`LEVELS`."""
    falling = share.flatten().sort(descending=True).values
    within = falling.cumsum(0)
    return [falling[min(int((within < level).sum()), len(falling) - 1)].item() for level in LEVELS]


def _lines(across: np.ndarray, up: np.ndarray, heights: np.ndarray, edges: Sequence[float]) -> list[Line]:
    from contourpy import contour_generator  # of matplotlib

    made = contour_generator(across, up, heights)
    return [np.asarray(line).round(4).tolist() for edge in edges for line in made.lines(edge)]
