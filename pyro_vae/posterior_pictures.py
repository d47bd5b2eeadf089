"""Pictures of guides against the true posterior: a few images in the plane where they differ most, and all images."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
import scipy  # its stats, which take a second to import, come when they are used
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from pyro_vae.plots import COLOURS, MARKERS

LEVELS = (0.9, 0.5)  #: of the mass within the contours
SIDE = 70  #: points of the grid along either axis
STYLES = ("-", "--", "-.", ":")


def pairs_picture(
    true: np.ndarray, guides: Mapping[str, np.ndarray], names: Sequence[str], axis_names: Sequence[tuple[str, str]]
) -> Figure:
    """For each image a plane of z with contours of the true posterior, filled, and of each guide's q, as lines.

    Args:
        true: unweighted draws of the true posterior in the plane of each image, ``(S, N, 2)``.
        guides: draws of each q in the same planes, ``(S, N, 2)``.
        names: of the images, N.
        axis_names: of the two axes of each image.
    """
    n = true.shape[1]
    columns = min(3, n)
    rows = -(-n // columns)
    figure = Figure(figsize=(3.3 * columns + 0.3, 3.2 * rows + 1.4), layout="constrained")
    title = "Is q(z|x) the true posterior? Good: the lines of q lie on the edges of the gray areas (50% and 90%)"
    figure.suptitle(fill(title, int(11 * figure.get_figwidth())), fontsize=13)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for i, axes in enumerate(panels):
        if i >= n:
            axes.set_axis_off()
            continue
        _plane(axes, true[:, i], [draws[:, i] for draws in guides.values()])
        axes.set_title(names[i], fontsize=11)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_xlabel(axis_names[i][0], fontsize=11)
        axes.set_ylabel(axis_names[i][1], fontsize=11)
    handles: list[Patch | Line2D] = [Patch(color="0.8", label="true posterior p(z|x)")]
    for k, name in enumerate(guides):
        handles.append(Line2D([], [], color=COLOURS[k], ls=STYLES[k % 4], lw=2, label=name))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=11)
    return figure


def _plane(axes: Axes, true: np.ndarray, guides: Sequence[np.ndarray]) -> None:
    every = np.concatenate([true, *guides])
    low, high = np.quantile(every, 0.001, axis=0), np.quantile(every, 0.999, axis=0)
    margin = 0.1 * (high - low) + 1e-9
    across, up = (np.linspace(low[a] - margin[a], high[a] + margin[a], SIDE) for a in (0, 1))
    grid = np.stack(np.meshgrid(across, up), -1).reshape(-1, 2)
    density, edges = kernel_density(true, grid)
    axes.contourf(across, up, density, [*edges, np.inf], colors=["0.88", "0.72"])
    for k, draws in enumerate(guides):
        density, edges = kernel_density(draws, grid)
        axes.contour(across, up, density, edges, colors=COLOURS[k], linestyles=STYLES[k % 4], linewidths=1.8)
    axes.tick_params(labelsize=9)


def kernel_density(draws: np.ndarray, grid: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """A kernel density of draws ``(S, 2)`` on the grid, and the heights above which 90 and 50 % of its mass lie."""
    if np.linalg.matrix_rank(np.cov(draws.T)) < 2:  # a point has no density: a small one stands for it
        draws = draws + 1e-3 * np.random.default_rng(0).normal(size=draws.shape)
    density = scipy.stats.gaussian_kde(draws.T, bw_method=lambda kde: 1.3 * kde.scotts_factor())
    edges = np.quantile(density(draws.T), [1 - level for level in LEVELS])
    return density(grid.T).reshape(SIDE, SIDE), [float(edge) for edge in edges]


def over_images_picture(kl_to_q: np.ndarray, kl_from_q: np.ndarray, coverage: Mapping[float, np.ndarray]) -> Figure:
    """Every image: the divergences both ways, and the posterior's mass in q's smallest regions.

    Args:
        kl_to_q: KL(p || q) of each image, nats, ``(N,)``.
        kl_from_q: KL(q || p), ``(N,)``.
        coverage: by level, the posterior's mass in q's smallest region of this level, ``(N,)``.
    """
    figure = Figure(figsize=(9.6, 4.8), layout="constrained")
    title = (
        "q(z|x) against the true posterior, a mark for each image. Good: low and to the left in the first panel,"
        " on the dashed lines in the second"
    )
    figure.suptitle(fill(title, 105), fontsize=13)
    left, right = figure.subplots(1, 2)
    floor = 1e-2  # below the error of both
    x, y = np.maximum(kl_from_q, floor), np.maximum(kl_to_q, floor)
    left.set_xscale("log")
    left.set_yscale("log")
    both = (floor / 1.5, 2 * float(max(x.max(), y.max(), 1.0)))
    left.plot(both, both, color="0.6", lw=1, ls="--")
    left.scatter(x, y, s=24, color=COLOURS[0], marker=MARKERS[0], alpha=0.8, linewidths=0)
    left.set_xlim(*both)
    left.set_ylim(*both)
    left.set_xlabel("KL(q || p), nats: q has what p lacks", fontsize=11)
    left.set_ylabel("KL(p || q), nats: q misses what p has", fontsize=11)
    left.set_title("Above the line: q misses a part of the posterior", fontsize=11)
    for k, (level, mass) in enumerate(coverage.items()):
        order = np.sort(mass)
        at = (np.arange(len(mass)) + 0.5) / len(mass)
        right.plot(at, order, ls="", marker=MARKERS[k], ms=4.5, color=COLOURS[k], label=f"q's smallest {level:.0%}")
        right.axhline(level, color=COLOURS[k], ls="--", lw=1.2)
    right.set_ylim(-0.02, 1.02)
    right.set_xlim(0, 1)
    right.set_xlabel("images, from the least covered to the most", fontsize=11)
    right.set_ylabel("mass of the true posterior inside", fontsize=11)
    right.set_title("Below its line: q is too narrow, or in another place", fontsize=11)
    right.legend(fontsize=10, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2)
    return figure
