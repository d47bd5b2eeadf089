"""The pictures of an evaluation: from figures and arrays to matplotlib figures."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from pyro_vae.estimators import Estimate
from pyro_vae.plots import COLOURS


def calibration_picture(ranks: np.ndarray, num_samples: int, bins: int = 16) -> Figure:
    """Histograms of the ranks ``(N, D)`` of the true latents, with the band that holds 99 % of the bars if uniform."""
    n, dimensions = ranks.shape
    shown = min(dimensions, 20)
    columns = min(5, shown)
    rows = -(-shown // columns)
    figure = Figure(figsize=(2.3 * columns + 0.6, 1.7 * rows + 1.1), layout="constrained")
    figure.suptitle(
        "Ranks of the true z among draws of q: flat where q(z|x) is the posterior of the model's own images"
    )
    low, high = stats.binom.interval(0.99, n, 1 / bins)
    for d, axes in enumerate(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat):
        if d >= shown:
            axes.set_axis_off()
            continue
        axes.axhspan(low, high, color="0.9", zorder=0)
        axes.hist(ranks[:, d], bins=list(np.linspace(-0.5, num_samples + 0.5, bins + 1)), color=COLOURS[0])
        axes.set_title(f"$z_{{{d + 1}}}$", fontsize="medium")
    figure.supxlabel(f"rank among {num_samples} draws" + (f" (first {shown} dimensions)" if shown < dimensions else ""))
    figure.supylabel("images (band: 99 % if uniform)")
    return figure


def k_hat_picture(k_hat: np.ndarray) -> Figure:
    """The images' k-hat, with the limits of what is good and of what is usable."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.hist(k_hat, bins=list(np.linspace(min(0.0, k_hat.min()), max(1.5, k_hat.max()), 40)), color=COLOURS[0])
    for limit, style, meaning in ((0.5, "--", "good below 0.5"), (0.7, "-", "usable below 0.7")):
        share = (k_hat > limit).mean()
        axes.axvline(limit, color="black", ls=style, label=f"{meaning}; {share:.0%} of images above")
    axes.set(xlabel="PSIS k-hat of p(x, z) / q(z|x)", ylabel="images", title="How far q(z|x) is from the posterior")
    axes.legend(frameon=False)
    return figure


def units_picture(activity: np.ndarray, threshold: float) -> Figure:
    """The activity of each latent dimension, from the most to the least active, on a logarithmic scale."""
    order = np.argsort(-activity)
    values = np.maximum(activity[order], 1e-5)
    figure = Figure(figsize=(max(5.0, 0.28 * len(values) + 1.5), 4), layout="constrained")
    axes = figure.subplots()
    colours = [COLOURS[0] if value > threshold else "0.7" for value in values]
    axes.bar(np.arange(len(values)), values, color=colours)
    axes.axhline(threshold, color="black", ls="--", label=f"active above {threshold:g}")
    axes.set_xticks(np.arange(len(values)), [str(d + 1) for d in order], fontsize="small")
    axes.set_ylim(top=6 * values.max())  # room for the legend
    axes.set(yscale="log", xlabel="latent dimension", ylabel="Cov$_x$(E$_q$[z|x])", title="Which dimensions are used")
    axes.legend(frameon=False)
    return figure


def gap_picture(gaps: Mapping[str, Mapping[str, Estimate]]) -> Figure:
    """The split inference gap of each split as a stacked bar, nats per image, with standard errors."""
    figure = Figure(figsize=(6, 1.1 * len(gaps) + 1.6), layout="constrained")
    axes = figure.subplots()
    for row, parts in enumerate(gaps.values()):
        left = 0.0
        for colour, hatch, name in zip(COLOURS, ("", "//"), ("approximation_gap", "amortization_gap"), strict=False):
            part = parts[name]
            label = name.replace("_", " ") if row == 0 else None
            error = part.standard_error or 0.0
            axes.barh(
                row, part.value, left=left, xerr=error, color=colour, hatch=hatch, label=label, ecolor="0.2", capsize=3
            )
            left += part.value
    axes.set_yticks(range(len(gaps)), list(gaps))
    axes.invert_yaxis()
    axes.set(xlabel="log p(x) - ELBO, nats per image (bars: standard errors)", title="The inference gap and its parts")
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.35 if len(gaps) == 1 else -0.25), ncols=2)
    return figure


def against_picture(scores: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """For each score, the histograms of each data set, over the same bins."""
    figure = Figure(figsize=(5.2 * len(scores), 4.2), layout="constrained")
    for axes, (score, sets) in zip(figure.subplots(1, len(scores), squeeze=False)[0], scores.items(), strict=True):
        edges = np.histogram_bin_edges(np.concatenate(list(sets.values())), bins=60)
        styles: list[dict[str, Any]] = [{"alpha": 0.8}, {"histtype": "step", "lw": 1.8}]
        for colour, style, (name, values) in zip(COLOURS, styles, sets.items(), strict=False):
            axes.hist(values, bins=edges, density=True, color=colour, label=name, **style)
        axes.set(xlabel=f"{score}, nats per image", ylabel="density of images")
        axes.legend(frameon=False)
    return figure
