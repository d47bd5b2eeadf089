"""Pictures: from arrays to figures. Nothing here knows of models or training.

Classes differ by their marker as well as by their colour, and splits by their line style. Text stays readable when a
picture shrinks to a telephone's 390 pixels.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.textpath import TextPath

from pyro_vae.observation import spoken

#: Each has a contrast of at least 3 to white (WCAG 2.1, 1.4.11). The smallest distance between two is 0.14 in OKLab,
#: 0.10 as protanopes and deuteranopes see them and 0.096 as tritanopes do (Machado et al. 2009); a search found them.
COLOURS: list[str] = [
    *("#5f91f6", "#f94212", "#09695c", "#a101e7", "#eb5fb4"),
    *("#750416", "#10336f", "#a33c0a", "#6f8b69", "#7259a2"),
]
MARKERS = "osD^v<>PX*"
#: the colours of the parts of the inference gap in every picture; the first colours are those of the arms
GAP_COLOURS = {"approximation_gap": COLOURS[2], "amortization_gap": COLOURS[4]}
TILE = 0.6  #: inches of an image in a row of images


def plain_text(name: str) -> str:
    """A name that somebody chose, as text that holds no mathematics: of a run, a folder, a class of images."""
    return name.replace("$", r"\$")


def _show(axes: Axes, image: np.ndarray) -> None:
    """One image ``(C, H, W)`` with values in [0, 1]: one, three or four channels, or the mean of any other number."""
    image = np.clip(image, 0, 1)
    pixels = np.moveaxis(image, 0, -1) if len(image) in (3, 4) else image.mean(0)
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def mosaic(images: np.ndarray, rows: int) -> np.ndarray:
    """Images ``(rows * n, C, H, W)`` as one picture ``(C, rows * H, n * W)``."""
    _, channels, height, width = images.shape
    tiles = images.reshape(rows, -1, channels, height, width).transpose(2, 0, 3, 1, 4)
    return tiles.reshape(channels, rows * height, -1)


def show_tiles(axes: Axes, images: np.ndarray, rows: int) -> None:
    """Images ``(rows * n, C, H, W)`` in rows, with a line of a 25th of an image between them, whatever their pixels."""
    height, width = images.shape[-2:]
    columns = len(images) // rows
    _show(axes, mosaic(images, rows))
    figure, place = axes.get_figure(root=True), axes.get_subplotspec()
    assert figure is not None
    inches = figure.get_figwidth() / (place.get_gridspec().ncols if place else 1)
    thick = 0.04 * 72 * inches / columns
    for row in range(1, rows):
        axes.axhline(row * height - 0.5, color="0.4", lw=thick)
    for column in range(1, columns):
        axes.axvline(column * width - 0.5, color="0.4", lw=thick)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def image_grid(rows: Mapping[str, np.ndarray], title: str, columns: Mapping[int, str] | None = None) -> Figure:
    """Rows of images under a title, each row ``(M, C, H, W)`` with a name at its left.

    Args:
        columns: names above some of the columns, by their number.
    """
    images = np.stack(list(rows.values()))
    _, across, _, height, width = images.shape
    inches = TILE * across
    said = [plain_text(name) for name in rows]
    names = max(TextPath((0, 0), name, size=13).get_extents().width for name in said) / 72 + 0.2
    title = fill(title, int(7.5 * (inches + names)))
    above = 0.3 * title.count("\n") + (0.3 if columns else 0) + 0.45
    tall = min(inches * len(rows) * height / (across * width), max(12, TILE * len(rows)), 50)
    # Not "constrained": it lays the images out before their shape is kept, and cuts names off where rows are many.
    figure = Figure(figsize=(inches + names, tall + above), layout="compressed")
    axes = figure.subplots()
    show_tiles(axes, images.reshape(-1, *images.shape[2:]), len(rows))
    axes.set_yticks((np.arange(len(rows)) + 0.5) * height - 0.5, said, fontsize=13)
    axes.set_xticks([])
    if columns:
        axes.xaxis.tick_top()
        axes.set_xticks((np.array(list(columns)) + 0.5) * width - 0.5, list(columns.values()), fontsize=14)
    figure.suptitle(title, fontsize=14)
    return figure


def image_square(images: np.ndarray, title: str, room: tuple[float, float] = (0.0, 0.0)) -> Figure:
    """Images ``(n * n, C, H, W)`` in a square of n rows.

    Args:
        room: inches beside and below the images, for the caller's text.
    """
    height, width = images.shape[-2:]
    tall = min(12.0, 6 * height / width)
    across = max(3.0, tall * width / height)
    title = fill(title, int(9 * (across + room[0])))
    above = 0.2 * title.count("\n") + 0.29
    figure = Figure(figsize=(across + room[0] + 0.08, tall + above + room[1]), layout="constrained")
    axes = figure.subplots()
    show_tiles(axes, images, int(len(images) ** 0.5))
    axes.set(xticks=[], yticks=[], title=title)
    return figure


def manifold(images: np.ndarray, quantiles: np.ndarray) -> Figure:
    """AEVB's Figure 4: images ``(n * n, C, H, W)`` at the Gaussian quantiles ``(n,)`` of both latent dimensions."""
    figure = image_square(images, "E[x|z] over the latent plane, in equal steps of the prior", (0.6, 0.45))
    name_plane(figure.axes[0], images.shape[-2:], quantiles)
    return figure


def name_plane(axes: Axes, size: Sequence[int], quantiles: np.ndarray) -> None:
    """Ticks for images of this height and width that lie at the quantiles ``(n,)``, the highest at the top."""
    height, width = size
    marks = np.linspace(0, len(quantiles) - 1, 5).round().astype(int)
    axes.set_xticks((marks + 0.5) * width - 0.5, [f"{quantiles[m]:.1f}" for m in marks])
    axes.set_yticks((marks + 0.5) * height - 0.5, [f"{quantiles[len(quantiles) - 1 - m]:.1f}" for m in marks])
    axes.set(xlabel="$z_1$ (prior standard deviations)", ylabel="$z_2$ (prior standard deviations)")


def scatter_classes(axes: Axes, points: np.ndarray, labels: np.ndarray) -> None:
    """Points ``(N, 2)``, each class of the labels ``(N,)`` in its own colour and with its own marker; at most ten."""
    size = float(np.clip(8000 / max(1, len(points)), 18, 45))
    for label, colour, marker in zip(np.unique(labels), COLOURS, MARKERS, strict=False):
        x, y = points[labels == label].T
        axes.scatter(x, y, s=size, color=colour, marker=marker, alpha=0.85, linewidths=0, label=plain_text(str(label)))


def latent_scatter(points: np.ndarray, labels: np.ndarray | None, axis_names: Sequence[str], title: str) -> Figure:
    """Points ``(N, 2)`` of the latent space, coloured and marked by their label ``(N,)`` if there are labels."""
    figure = Figure(figsize=(6.4, 5.8), layout="constrained")
    axes = figure.subplots()
    classes = np.unique([] if labels is None else labels)
    if labels is None or len(classes) > len(MARKERS):
        mapped = {"c": labels, "cmap": "cividis"} if len(classes) else {"color": COLOURS[0]}
        drawn = axes.scatter(points[:, 0], points[:, 1], s=16, **mapped)
        if labels is not None:
            figure.colorbar(drawn, label="label")
    else:
        scatter_classes(axes, points, labels)
        legend = {"title": "label", "fontsize": 12, "title_fontsize": 12, "markerscale": 1.4, "handletextpad": 0.1}
        axes.legend(bbox_to_anchor=(1.0, 1), loc="upper left", frameon=False, **legend)
    axes.set_xlabel(axis_names[0], fontsize=12)
    axes.set_ylabel(axis_names[1], fontsize=12)
    axes.set_title(title, fontsize=12)
    axes.axhline(0, color="0.85", zorder=0)
    axes.axvline(0, color="0.85", zorder=0)
    return figure


Curves = Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]]

STYLES = {"test": "-", "train": ":", "validation": "--"}
MOST_NAMED = 20  #: runs in a legend


def traces(panels: Mapping[str, Curves], x_name: str, best: Mapping[str, tuple[float, float]] | None = None) -> Figure:
    """ELBO traces: for each panel's title, for each run, for each split, the curve ``(x, y)`` in nats per image.

    Each run has a colour; the test curve is solid, training dotted and validation dashed. Below the first panel is the
    last quarter of its held-out curves, where small differences show.

    Args:
        best: the marked point of each run on the first panel, whose weights are kept.
    """
    late = _late(next(iter(panels.values())))
    heights = [3.0, *([2.6] if late else []), *[2.1] * (len(panels) - 1)]
    runs = list(next(iter(panels.values())))
    named = min(len(runs), MOST_NAMED) + 3 + (len(runs) > MOST_NAMED)
    figure = Figure(figsize=(6.6, sum(heights) + 0.26 * named), layout="constrained")
    stack = list(figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0])
    for axes, (title, curves) in zip([stack[0], *stack[1 + bool(late) :]], panels.items(), strict=True):
        _draw_curves(axes, curves, title)
        _cut_the_climb(axes, [y for splits in curves.values() for _, y in splits.values()])
    marked = [stack[0]]
    if late:
        start, first = late, next(iter(panels.items()))
        _draw_curves(
            stack[1], {run: _held_out(splits) for run, splits in first[1].items()}, f"{first[0]}: the last quarter"
        )
        ends = [y[x >= start] for splits in first[1].values() for x, y in _held_out(splits).values()]
        _limit(stack[1], np.concatenate(ends))
        stack[1].set_xlim(start, max(x[-1] for splits in first[1].values() for x, _ in splits.values() if len(x)))
        marked.append(stack[1])
    for colour, run in zip(cycle(COLOURS), runs, strict=False):
        for axes in marked:
            if best and run in best:
                left, right = axes.get_xlim()
                cut = not left <= best[run][0] <= right
                axes.plot(*best[run], "o", ms=9, mfc="none", mew=2, color=colour, clip_on=cut)
                axes.set_xlim(left, right)
    stack[-1].set_xlabel(x_name, fontsize=13)
    _name_runs(figure, next(iter(panels.values())), best or {})
    return figure


def reworded(figure: Figure, one: str) -> Figure:
    """A figure whose words are of images, with those of what one x is (:func:`pyro_vae.observation.spoken`)."""
    for text in figure.findobj(Text):
        if isinstance(text, Text) and (words := spoken(text.get_text(), one)) != text.get_text():
            text.set_text(words)
    return figure


def _held_out(splits: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {split: curve for split, curve in splits.items() if split != "train"}


def _late(curves: Curves) -> float | None:
    """The start of the last quarter of the shortest run; None if the runs are too short."""
    held_out = [x for splits in curves.values() for x, _ in _held_out(splits).values() if len(x)]
    if not held_out or min(map(len, held_out)) < 8:
        return None
    return float(min(x[-1] - (x[-1] - x[0]) / 4 for x in held_out))


def _draw_curves(axes: Axes, curves: Curves, title: str) -> None:
    for colour, (run, splits) in zip(cycle(COLOURS), curves.items(), strict=False):
        for split, (x, y) in splits.items():
            marker = "." if len(x) == 1 else None
            axes.plot(x, y, STYLES[split], color=colour, marker=marker, label=f"{run}, {split}", lw=1.6)
    axes.set_title(title, fontsize=13)
    axes.set_ylabel("nats per image", fontsize=13)
    axes.tick_params(labelsize=12)
    axes.grid(color="0.92")


def _cut_the_climb(axes: Axes, curves: Sequence[np.ndarray]) -> None:
    """Limits without the first few epochs, which would flatten the rest."""
    if curves:
        _limit(axes, np.concatenate([y[len(y) // 20 :] for y in curves]))


def _limit(axes: Axes, values: np.ndarray) -> None:
    if len(values):
        margin = 0.07 * (np.ptp(values) or 1.0)
        axes.set_ylim(values.min() - margin, values.max() + margin)


def _name_runs(figure: Figure, curves: Curves, best: Mapping[str, tuple[float, float]]) -> None:
    """A legend: the line styles of the splits, then a line for each run with its values on the first panel."""
    names = list(dict.fromkeys(split for found in curves.values() for split in found))
    lines = [Line2D([], [], ls=STYLES[split], color="0.3") for split in names]
    for colour, (run, found) in list(zip(cycle(COLOURS), curves.items(), strict=False))[:MOST_NAMED]:
        last = [y[-1] for _, y in _held_out(found).values() if len(y)]
        words = [f"at its best epoch {best[run][1]:.2f}"] if run in best else []
        words += [f"last {last[0]:.2f}"] if last else []
        short = run if len(run) <= 40 else f"{run[:20]}...{run[-17:]}"
        lines.append(Line2D([], [], color=colour, lw=3))
        short = plain_text(short)
        names.append(": ".join([short, ", ".join(words)]) if words else short)
    if len(curves) > MOST_NAMED:
        lines.append(Line2D([], [], alpha=0))
        names.append(f"and {len(curves) - MOST_NAMED} runs more")
    if best:
        lines.append(Line2D([], [], ls="", marker="o", color="0.3", mfc="none", ms=9, mew=2))
        names.append("best epoch by validation: its weights are kept")
    if curves:
        figure.legend(lines, names, loc="outside lower center", ncols=1, frameon=False, fontsize=12)
