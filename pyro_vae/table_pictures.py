"""Pictures of a table: real rows beside rows drawn from the model, column by column and pair by pair."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from pyro_vae.plots import COLOURS, plain_text

MOST_COLUMNS = 36  #: whose marginals are drawn
MOST_PAIRED = 5  #: columns that are drawn against each other
FEW = 12  #: values that are bars and no histogram
REAL, DRAWN = COLOURS[6], COLOURS[1]


def marginals(real: np.ndarray, drawn: np.ndarray, names: tuple[str, ...]) -> Figure:
    """Each column of real rows ``(N, P)``, with NaN for missing values, and of drawn ones ``(M, P)``."""
    count = min(len(names), MOST_COLUMNS)
    across = min(count, 4 if count <= 16 else 6)
    down = -(-count // across)
    figure = Figure(figsize=(1.9 * across + 0.4, 1.7 * down + 0.9), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for i, axes in enumerate(panels):
        if i >= count:
            axes.set_axis_off()
            continue
        _marginal(axes, real[:, i], drawn[:, i])
        axes.set_title(plain_text(_short(names[i])), fontsize=9)
    title = "Columns of test rows (filled) and of rows drawn from the model (line)"
    figure.suptitle(title + _rest(len(names) - count), fontsize=11)
    return figure


def _rest(count: int) -> str:
    """So many columns are not in a picture, in words."""
    return f"; {count} more {'column is' if count == 1 else 'columns are'} not shown" if count else ""


def _few_ticks(axis: Axis) -> None:
    """Few numbers, and short ones, such that they do not lie on each other: 50k for 50000."""
    thousands = EngFormatter(sep="")
    axis.set_major_locator(MaxNLocator(3))
    axis.set_major_formatter(lambda value, _: thousands(value) if abs(value) >= 1e4 else f"{value:g}")


def _marginal(axes: Axes, real: np.ndarray, drawn: np.ndarray) -> None:
    seen = real[~np.isnan(real)]
    axes.tick_params(labelsize=7)
    axes.set_yticks([])
    if not len(seen):
        axes.text(0.5, 0.5, "no value is seen", ha="center", va="center", transform=axes.transAxes, fontsize=8)
        return
    values = np.unique(np.concatenate([seen, drawn]))
    if len(values) <= FEW:
        at = np.arange(len(values))
        axes.bar(at - 0.2, [(seen == value).mean() for value in values], 0.4, color=REAL, alpha=0.6)
        axes.bar(at + 0.2, [(drawn == value).mean() for value in values], 0.4, fill=False, edgecolor=DRAWN, lw=1.3)
        axes.set_xticks(at, [f"{value:g}" for value in values])
        return
    both = np.concatenate([seen, drawn])
    low, high = np.quantile(both, [0.002, 0.998])
    bins = np.linspace(low, high, 25).tolist()
    axes.hist(seen, bins, density=True, color=REAL, alpha=0.6)
    axes.hist(drawn, bins, density=True, histtype="step", color=DRAWN, lw=1.3)
    _few_ticks(axes.xaxis)


def pairs(real: np.ndarray, drawn: np.ndarray, names: tuple[str, ...]) -> Figure:
    """The columns that depend most on another, in pairs: real rows below the diagonal, drawn ones above it."""
    shown = _most_dependent(real, min(MOST_PAIRED, len(names)))
    count = len(shown)
    figure = Figure(figsize=(1.7 * count + 0.5, 1.7 * count + 0.8), layout="constrained")
    grid = figure.subplots(count, count, squeeze=False)
    for row, i in enumerate(shown):
        for column, j in enumerate(shown):
            axes = grid[row, column]
            axes.tick_params(labelsize=6)
            if row == column:
                _marginal(axes, real[:, i], drawn[:, i])
            else:
                rows, colour = (real, REAL) if row > column else (drawn[: len(real)], DRAWN)
                axes.scatter(rows[:, j], rows[:, i], s=4, color=colour, alpha=0.6, lw=0)
                _same_limits(axes, real, j, i)
                _few_ticks(axes.xaxis)
                _few_ticks(axes.yaxis)
            if row == count - 1:
                axes.set_xlabel(plain_text(_short(names[j])), fontsize=8)
            if column == 0:
                axes.set_ylabel(plain_text(_short(names[i])), fontsize=8)
    title = "Pairs of columns: test rows below the diagonal, rows drawn from the model above"
    title += _rest(len(names) - count)
    figure.suptitle(title if count > 2 else "Test rows below, drawn rows above", fontsize=10)
    return figure


def _same_limits(axes: Axes, real: np.ndarray, x: int, y: int) -> None:
    """The range of the real values, with room around it: a drawn row far outside is not shown.

    Below zero there is hardly room where no real value is.
    """
    for column, limit in ((x, axes.set_xlim), (y, axes.set_ylim)):
        seen = real[~np.isnan(real[:, column]), column]
        if len(seen):
            room = 0.4 * (seen.max() - seen.min()) or 1.0
            below = room if seen.min() < 0 else min(room, seen.min() + 0.1 * room)
            limit(seen.min() - below, seen.max() + room)


def _most_dependent(rows: np.ndarray, count: int) -> list[int]:
    """The columns with the largest correlations to another, in the table's order."""
    centred = rows - np.array(
        [column[~np.isnan(column)].mean() if (~np.isnan(column)).any() else 0 for column in rows.T]
    )
    seen = (~np.isnan(rows)).astype(float)
    filled = np.where(seen > 0, centred, 0.0)
    product, weight = filled.T @ filled, filled.T**2 @ seen
    size = np.sqrt(weight * weight.T)
    correlation = np.abs(np.divide(product, size, out=np.zeros_like(product), where=size > 0))
    np.fill_diagonal(correlation, 0)
    return sorted(np.argsort(-correlation.max(1), kind="stable")[:count].tolist())


def _short(name: str) -> str:
    return name if len(name) <= 18 else f"{name[:16]}..."
