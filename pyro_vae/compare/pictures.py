"""The findings as one picture for papers and READMEs: differences with intervals, and the split inference gap."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pyro_vae.compare.analysis import ArmReport
from pyro_vae.compare.record import Comparison
from pyro_vae.plots import COLOURS, GAP_COLOURS


def findings_picture(comparison: Comparison) -> Figure | None:
    """Differences in ELBO and in the bound on log p(x) beside the split gap; None if there is neither."""
    reports = list(comparison.reports.values())
    gaps = [report for report in reports if "inference_gap" in report.figures]
    others = [report for report in reports if report.differences]
    panels = bool(others) + bool(gaps)
    if not panels:
        return None
    figure = Figure(figsize=(5.5 * panels, min(2.2 + 0.5 * len(reports), 14.0)), layout="constrained")
    axes = list(figure.subplots(1, panels, squeeze=False)[0])
    if others:
        _differences(axes[0], others, comparison)
    if gaps:
        _gaps(axes[-1], gaps, comparison.confidence)
    return figure


def _differences(axes: Axes, reports: Sequence[ArmReport], comparison: Comparison) -> None:
    axes.axvline(0, color="0.4", lw=1)
    titles = {"elbo": "ELBO", "iwae": "IWAE bound on log p(x)"}
    for offset, colour, marker, (name, title) in zip((-0.13, 0.13), COLOURS, "os", titles.items(), strict=False):
        rows = [(i, report.differences[name]) for i, report in enumerate(reports) if name in report.differences]
        if not rows:
            continue
        values, lows, highs = np.array([(found.value, found.low, found.high) for _, found in rows]).T
        heights = [i + offset for i, _ in rows]
        ends = (values - lows, highs - values)
        axes.errorbar(values, heights, xerr=ends, fmt=marker, color=colour, capsize=4, label=title)
    axes.set_yticks(range(len(reports)), [report.name for report in reports])
    axes.set_ylim(len(reports) - 0.5, -0.5)
    seeds = len({trial.seed for trial in comparison.trials})
    count = f"{seeds} seed{'' if seeds == 1 else 's'}"
    axes.set(
        xlabel=f"difference to {comparison.baseline}, nats per image (right is better)",
        title=f"Is it better than {comparison.baseline}? {comparison.confidence:.0%} intervals, {count}",
    )
    axes.title.set_fontsize("medium")
    _legend(axes)


def _gaps(axes: Axes, reports: Sequence[ArmReport], confidence: float) -> None:
    left = np.zeros(len(reports))
    rows = range(len(reports))
    for (part, colour), hatch in zip(GAP_COLOURS.items(), ("", "//"), strict=True):
        values = np.array([report.figures[part].value for report in reports])
        axes.barh(rows, values, left=left, color=colour, hatch=hatch, label=part.replace("_", " "), height=0.6)
        left = left + values
    whole = [report.figures["inference_gap"] for report in reports]
    values, lows, highs = np.array([(found.value, found.low, found.high) for found in whole]).T
    axes.errorbar(left, rows, xerr=(values - lows, highs - values), fmt="none", ecolor="0.2", capsize=4)
    axes.set_yticks(rows, [report.name for report in reports])
    axes.set_ylim(len(reports) - 0.5, -0.5)
    images = whole[0].images
    axes.set(
        xlabel="log p(x) - ELBO, nats per image",
        title=f"The inference gap: {images} images, {confidence:.0%} interval of the whole",
    )
    axes.title.set_fontsize("medium")
    _legend(axes)


def _legend(axes: Axes) -> None:
    axes.legend(frameon=False, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2)
