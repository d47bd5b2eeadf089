"""The picture of an evaluation with ``--against``: do scores tell its images from the run's own?"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pyro_vae.plots import COLOURS, plain_text


def against_picture(scores: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """For each score, the histograms of each data set, over the same bins."""
    figure = Figure(figsize=(5.2 * len(scores), 4.2), layout="constrained")
    for axes, (score, sets) in zip(figure.subplots(1, len(scores), squeeze=False)[0], scores.items(), strict=True):
        edges = np.histogram_bin_edges(np.concatenate(list(sets.values())), bins=60)
        styles: list[dict[str, Any]] = [{"alpha": 0.8}, {"histtype": "step", "lw": 1.8}]
        for colour, style, (name, values) in zip(COLOURS, styles, sets.items(), strict=False):
            axes.hist(values, bins=edges, density=True, color=colour, label=plain_text(name), **style)
        axes.set(xlabel=f"{score}, nats per image", ylabel="density of images")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure
