"""The pictures of an evaluation: from figures and arrays to matplotlib figures."""

from collections.abc import Mapping
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from pyro_vae.estimators import Estimate
from pyro_vae.plots import COLOURS, GAP_COLOURS


def calibration_picture(ranks: np.ndarray, num_samples: int, bins: int = 16) -> Figure:
    """Histograms of the ranks ``(N, D)`` of the true latents, with the band that holds 99 % of the bars if uniform."""
    n, dimensions = ranks.shape
    shown = min(dimensions, 20)
    columns = min(5, shown)
    rows = -(-shown // columns)
    figure = Figure(figsize=(max(4.0, 2.3 * columns + 0.6), 1.7 * rows + 1.3), layout="constrained")
    title = "Ranks of the true z among draws of q: flat where q(z|x) is the posterior of the model's own images"
    figure.suptitle(fill(title, int(9.5 * figure.get_figwidth())))
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


def k_hat_picture(k_hat: np.ndarray, limit: float) -> Figure:
    """The images' k-hat ``(N,)``, with the limit above which the draws do not estimate reliably."""
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.hist(k_hat, bins=list(np.linspace(min(0.0, k_hat.min()), max(1.5, k_hat.max()), 40)), color=COLOURS[0])
    above = (k_hat > limit).mean()
    line = axes.axvline(limit, color="black")
    axes.set_xlabel("PSIS k-hat of p(x, z) / q(z|x)", fontsize=12)
    axes.set_ylabel("images", fontsize=12)
    axes.set_title("How far q(z|x) is from the posterior", fontsize=13)
    words = f"reliable up to {limit:.2f}; {above:.0%} of images above"
    figure.legend([line], [words], loc="outside lower center", frameon=False, fontsize=12)
    return figure


def units_picture(activity: np.ndarray, threshold: float) -> Figure:
    """The activity ``(D,)`` of each latent dimension, from the most to the least active, on a logarithmic scale."""
    order = np.argsort(-activity)
    floor = min(1e-5, threshold / 10)
    values = np.maximum(activity[order], floor)
    figure = Figure(figsize=(float(np.clip(0.28 * len(values) + 1.5, 6.0, 9.0)), 4.2), layout="constrained")
    axes = figure.subplots()
    axes.set_yscale("log")  # before the limits, which are a logarithmic axis' own
    active = values > threshold
    axes.margins(x=0.01)
    axes.bar(np.arange(len(values)), values, color=[COLOURS[0] if on else "0.6" for on in active])
    axes.set_ylim(min(float(values.min()), threshold) / 3, 3 * max(float(values.max()), threshold))
    line = axes.axhline(threshold, color="black", ls="--")
    step = -(-len(values) // 25)  # names that fit beside each other
    named = np.arange(0, len(values), step)
    axes.set_xticks(named, [str(order[i] + 1) for i in named], fontsize="small")
    axes.set_xlabel("latent dimension", fontsize=12)
    axes.set_ylabel("Cov$_x$(E$_q$[z|x])", fontsize=12)
    axes.set_title("Which dimensions are used", fontsize=13)
    words = f"active above {threshold:g}: {active.sum()} of {len(values)}"
    figure.legend([line], [words], loc="outside lower center", frameon=False, fontsize=12)
    return figure


def gap_picture(gaps: Mapping[str, Mapping[str, Estimate]]) -> Figure:
    """The split inference gap of each split as a stacked bar, nats per image, with standard errors."""
    figure = Figure(figsize=(6, 1.0 * len(gaps) + 1.7), layout="constrained")
    axes = figure.subplots()
    for row, parts in enumerate(gaps.values()):
        left = 0.0
        for (name, colour), hatch in zip(GAP_COLOURS.items(), ("", "//"), strict=True):
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
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
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
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure
