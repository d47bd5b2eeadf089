"""Pictures of the calibration tests and of the predictive checks; each title says what good looks like."""

from collections.abc import Mapping
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pyro_vae.estimators import PredictiveCheck, RankTest
from pyro_vae.plots import COLOURS

LEVEL = 0.95  #: with which all curves of a panel stay in their band at once, where q is the posterior
MOST_NAMED = 4  #: curves outside the band that are named


def rank_picture(tests: Mapping[str, RankTest], title: str, as_coverage: frozenset[str] = frozenset()) -> Figure:
    """A panel for each test: its curves with the band that holds all of them, 95 times in 100, where q is right.

    Args:
        tests: by the title of their panel, which says what good looks like.
        as_coverage: the panels whose curves are drawn as coverage against level; the others show the ECDF of the ranks
            minus the diagonal.
    """
    columns = min(2, len(tests))
    rows = -(-len(tests) // columns)
    figure = Figure(figsize=(4.6 * columns, 4.2 * rows + 0.6), layout="constrained")
    figure.suptitle(fill(title, int(11.5 * figure.get_figwidth())), fontsize=13)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes, (name, test) in zip(panels, tests.items(), strict=False):
        _panel(axes, test, name in as_coverage)
        axes.set_title(fill(name, 46), fontsize=11)
    for axes in list(panels)[len(tests) :]:
        axes.set_axis_off()
    return figure


def _panel(axes: Axes, test: RankTest, as_coverage: bool) -> None:
    band, curves = test.band(1 - (1 - LEVEL) / len(test.names)), test.ecdf()
    z = np.concatenate([[0.0], band.z, [1.0]])
    zero, one = np.zeros((1, curves.shape[1])), np.ones((1, curves.shape[1]))
    low, high = (np.concatenate([[0.0], bound, [1.0]]) for bound in (band.low, band.high))
    drawn, less = np.concatenate([zero, curves, one]), 0.0 if as_coverage else z
    axes.fill_between(z, low - less, high - less, color="0.87", lw=0, label=f"{LEVEL:.0%} band if all is well")
    axes.plot(z, z - less, color="0.4", lw=1, ls="--")
    outside = np.any((curves < band.low[:, None] - 1e-9) | (curves > band.high[:, None] + 1e-9), axis=0, keepdims=True)[
        0
    ]
    worst = np.argsort(test.p_values.numpy(), kind="stable")
    named = [c for c in worst if outside[c]][:MOST_NAMED]
    for c in range(len(test.names)):
        if c not in named:
            axes.plot(z, drawn[:, c] - less, color="0.2" if not outside[c] else "0.5", lw=0.9, alpha=0.7)
    for colour, c in zip(COLOURS, named, strict=False):
        axes.plot(z, drawn[:, c] - less, color=colour, lw=1.8, label=f"{_shown(test.names[c])}: outside")
    inside = int((~outside).sum())
    if inside:
        axes.plot([], [], color="0.2", lw=0.9, label=f"{inside} of {len(outside)} inside")
    axes.set_xlim(0, 1)
    axes.set_xlabel("level of the region" if as_coverage else "rank / (draws + 1)", fontsize=11)
    axes.set_ylabel("share of images covered" if as_coverage else "ECDF - diagonal", fontsize=11)
    axes.legend(fontsize=9, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    axes.grid(color="0.93")


def _shown(name: str) -> str:
    return f"${name.replace('_', '_{')}}}$" if name.startswith("z_") else name


def calibration_tests_picture(
    dimensions: RankTest, densities: RankTest | None, references: RankTest, quantities: RankTest
) -> Figure:
    """The four kinds of calibration tests of one guide on images of its model; densities where the guide has them."""
    coverage = "Coverage of q's smallest regions: good is on the diagonal, below it q is overconfident"
    panels = {"Ranks of each dimension of z: good is within the band": dimensions}
    if densities is not None:
        panels[coverage] = densities
    panels["TARP, distance to a guess of z from x: good is within the band"] = references
    panels["Ranks of test quantities: good is within the band; log p(x, z) finds a q that ignores x"] = quantities
    title = "Is q(z|x) calibrated on images that the model itself draws? Good: all curves within the gray bands"
    return rank_picture(panels, title, frozenset([coverage]))


def predictive_picture(prior: PredictiveCheck, posterior: PredictiveCheck) -> Figure:
    """Do the model's images look like the data? Left before q has seen an image, right the share of unusual images."""
    figure = Figure(figsize=(9.4, 4.6), layout="constrained")
    title = "Do images of the model look like the data? Good: curves within the band, bars that end near the line"
    figure.suptitle(fill(title, 105), fontsize=13)
    left, right = figure.subplots(1, 2)
    _panel(left, prior.test, False)
    left.set_title("Prior predictive: data among the model's images", fontsize=11)
    height = 0.38
    at = np.arange(len(prior.outside))
    kinds = (("before (prior predictive)", prior, "", "0.6"), ("after q has seen the image", posterior, "//", "0.85"))
    for k, (name, check, hatch, gray) in enumerate(kinds):
        shares = [share.value for share in check.outside]
        errors = [2 * (share.standard_error or 0.0) for share in check.outside]
        right.barh(
            at + (k - 0.5) * height,
            shares,
            height,
            xerr=errors,
            color=gray,  # the colours are those of the curves at the left
            hatch=hatch,
            label=name,
            ecolor="0.2",
        )
    right.axvline(0.1, color="black", ls="--", lw=1, label="10%: expected if the model is right")
    right.set_yticks(at, [fill(name, 16) for name in prior.test.names])
    right.invert_yaxis()
    right.set_xlim(left=0)
    right.set_xlabel("share outside the central 90% (± 2 s.e.)", fontsize=11)
    right.set_title("Images of the data that are unusual", fontsize=11)
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=10)
    return figure
