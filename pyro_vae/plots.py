"""Pictures: from arrays to figures. Nothing here knows of models or training.

Colours are matplotlib's petroff10 cycle, made to be told apart by colour-blind readers (Petroff 2021); classes differ
by their marker as well, and splits by their line style.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS: list[str] = matplotlib.style.library["petroff10"]["axes.prop_cycle"].by_key()["color"]
MARKERS = "osD^v<>PX*"


def _show(axes: Axes, image: np.ndarray) -> None:
    """One image ``(C, H, W)`` with values in [0, 1]; one, three or four channels, of others the mean."""
    image = np.clip(image, 0, 1)
    pixels = np.moveaxis(image, 0, -1) if len(image) in (3, 4) else image.mean(0)
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def mosaic(images: np.ndarray, rows: int) -> np.ndarray:
    """Images ``(rows * n, C, H, W)`` as one picture ``(C, height, width)`` with a gray line between them."""
    images = np.pad(images, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=0.5)
    _, channels, height, width = images.shape
    tiles = images.reshape(rows, -1, channels, height, width).transpose(2, 0, 3, 1, 4)
    return tiles.reshape(channels, rows * height, -1)[:, :-1, :-1]


def image_grid(rows: Mapping[str, np.ndarray], title: str) -> Figure:
    """Rows of images under a title, each row ``(M, C, H, W)`` with a name at its left."""
    images = np.stack(list(rows.values()))
    _, across, _, height, width = images.shape
    inches = 0.75 * across
    figure = Figure(figsize=(inches + 1.6, inches * len(rows) * height / (across * width) + 0.5), layout="constrained")
    axes = figure.subplots()
    _show(axes, mosaic(images.reshape(-1, *images.shape[2:]), len(rows)))
    axes.set_yticks((np.arange(len(rows)) + 0.5) * (height + 1) - 1, list(rows))
    axes.set(xticks=[], title=title)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def image_square(images: np.ndarray, title: str) -> Figure:
    """Images ``(n * n, C, H, W)`` in a square of n rows."""
    height, width = images.shape[-2:]
    figure = Figure(figsize=(6, min(12, 6 * height / width + 0.5)), layout="constrained")
    axes = figure.subplots()
    _show(axes, mosaic(images, int(len(images) ** 0.5)))
    axes.set(xticks=[], yticks=[], title=title)
    return figure


def manifold(images: np.ndarray, quantiles: np.ndarray) -> Figure:
    """AEVB's Figure 4: images ``(n * n, C, H, W)`` at the Gaussian quantiles ``(n,)`` of both latent dimensions."""
    figure = image_square(images, "E[x|z] over the latent plane, in equal steps of the prior")
    axes = figure.axes[0]
    side = len(quantiles)
    height, width = (size + 1 for size in images.shape[-2:])  # with the line between
    marks = np.linspace(0, side - 1, 5).round().astype(int)
    axes.set_xticks((marks + 0.5) * width, [f"{quantiles[m]:.1f}" for m in marks])
    axes.set_yticks((marks + 0.5) * height, [f"{quantiles[side - 1 - m]:.1f}" for m in marks])
    axes.set(xlabel="$z_1$ (prior standard deviations)", ylabel="$z_2$ (prior standard deviations)")
    return figure


def latent_scatter(points: np.ndarray, labels: np.ndarray | None, axis_names: Sequence[str], title: str) -> Figure:
    """Points ``(N, 2)`` of the latent space, coloured and marked by their label ``(N,)`` where there is one."""
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axes = figure.subplots()
    classes = np.unique([] if labels is None else labels)
    if labels is None or len(classes) > len(MARKERS):
        colours = axes.scatter(points[:, 0], points[:, 1], s=9, c=labels, cmap="cividis" if len(classes) else None)
        if labels is not None:
            figure.colorbar(colours, label="label")
    else:
        for label, colour, marker in zip(classes, cycle(COLOURS), MARKERS, strict=False):
            chosen = points[labels == label]
            x, y = chosen.T
            axes.scatter(x, y, s=20, color=colour, marker=marker, alpha=0.8, linewidths=0, label=str(label))
        axes.legend(title="label", bbox_to_anchor=(1.01, 1), loc="upper left", frameon=False)
    axes.set(xlabel=axis_names[0], ylabel=axis_names[1], title=title)
    axes.axhline(0, color="0.85", zorder=0)
    axes.axvline(0, color="0.85", zorder=0)
    return figure


Curves = Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]]


def traces(panels: Mapping[str, Curves], x_name: str) -> Figure:
    """ELBO traces: for each panel's title, for each run, for each split, the curve ``(x, y)`` in nats per image.

    Runs have colours; the test curve is drawn through, training is dotted and validation dashed.
    """
    styles = {"test": "-", "train": ":", "validation": "--"}
    figure = Figure(figsize=(5.2 * len(panels), 4.4), layout="constrained")
    for axes, (title, runs) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        late = []
        for colour, (run, splits) in zip(cycle(COLOURS), runs.items(), strict=False):
            for split, (x, y) in splits.items():
                marker = "." if len(x) == 1 else None
                axes.plot(x, y, styles[split], color=colour, marker=marker, label=f"{run}, {split}", lw=1.4)
                late.append(y[len(y) // 20 :])
        if late:
            # The first few epochs would otherwise press everything that matters into one line.
            values = np.concatenate(late)
            margin = 0.05 * (np.ptp(values) or 1.0)
            axes.set_ylim(values.min() - margin, values.max() + margin)
        axes.set(xlabel=x_name, ylabel="nats per image", title=title)
        axes.grid(color="0.92")
    handles, names = figure.axes[0].get_legend_handles_labels()
    if names:
        figure.legend(handles, names, loc="outside lower center", ncols=min(3, len(names)), frameon=False)
    return figure
