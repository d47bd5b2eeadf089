"""AEVB's Figure 2: the bound against the training samples evaluated, for several numbers of latent dimensions.

    python examples/aevb/figure2.py --out runs/aevb                       # about half an hour on one CPU core
    python examples/aevb/figure2.py --out runs/aevb --schedule paper      # the paper's 1e8 and 1e7 samples, for CUDA

MNIST with 3, 5, 10, 20 and 200 latent dimensions, Frey Faces with 2, 5, 10 and 20, and in the table MNIST's gray values
as targets with 20; networks and training are those of ``network.py``. Writes ``figure2.png`` and ``figure2.md``. A
stopped script resumes, and ``--schedule paper`` resumes the short runs. The paper's other curves,
of wake-sleep, are missing: wake-sleep does not maximise the bound by SVI and needs its own training loop.
"""

from math import log10

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from network import TITLES, Curve, arguments, curve, ended, trained, whole_decades, write

from pyro_vae.plots import COLOURS

LATENT_DIMS = {"mnist": [3, 5, 10, 20, 200], "frey_faces": [2, 5, 10, 20], "mnist-gray": [20]}
ROWS = ("mnist", "frey_faces")  #: of the picture
Curves = dict[tuple[str, int], dict[str, Curve]]


def name_decades(axes: Axes) -> None:
    """A tick at each power of ten; the outer names keep within the panel, where those of the next one begin."""
    low, high = (round(log10(end)) for end in axes.get_xlim())
    axes.set_xticks([10.0**power for power in range(low, high + 1)])
    axes.get_xticklabels()[0].set_horizontalalignment("left")
    axes.get_xticklabels()[-1].set_horizontalalignment("right")


def picture(curves: Curves) -> Figure:
    """A panel for each run, a row for each data set."""
    rows = [data for data in ROWS if any(data == name for name, _ in curves)] or [ROWS[0]]
    across = max(1, *(sum(data == name for name, _ in curves) for data in ROWS))
    figure = Figure(figsize=(max(4.0, 2.6 * across + 0.4), 2.6 * len(rows) + 0.4), layout="constrained")
    panels = figure.subplots(len(rows), across, sharey="row", squeeze=False)
    for axes in panels.flat:
        axes.set_visible(False)
    for row, data in zip(panels, rows, strict=True):
        here = {dims: splits for (name, dims), splits in curves.items() if name == data}
        for axes, (dims, splits) in zip(row, here.items(), strict=False):
            axes.set_visible(True)
            for split, style, colour in (("test", "-", COLOURS[0]), ("train", ":", COLOURS[1])):
                axes.plot(*splits[split], style, color=colour, marker="." if len(splits[split].bound) == 1 else None)
            axes.set(title=f"{TITLES[data]}, {dims} latent", xscale="log", xlabel="training samples evaluated")
            axes.set_xlim(*whole_decades(*splits["test"].samples[[0, -1]]))
            axes.grid(color="0.92")
            axes.yaxis.set_major_locator(MaxNLocator(6))
            name_decades(axes)
        if here:
            # The first epochs lie below, and would flatten the rest.
            ends = [c.bound[-1] for splits in here.values() for c in splits.values()]
            room = 0.1 * (max(ends) - min(ends)) + abs(max(ends)) * 0.05
            row[0].set_ylim(min(ends) - 2 * room, max(ends) + room)
            row[0].set_ylabel("bound, nats per image")
    names = {"test": ("-", COLOURS[0]), "train": (":", COLOURS[1])}
    lines = [Line2D([], [], ls=style, color=colour) for style, colour in names.values()]
    figure.legend(lines, list(names), loc="outside lower center", ncols=3, frameon=False)
    return figure


def main(argv: list[str] | None = None) -> None:
    whole = {"type": int, "nargs": "*"}
    choice = [(f"--{name.replace('_', '-')}-dims", {**whole, "default": dims}) for name, dims in LATENT_DIMS.items()]
    args = arguments("figure2", __doc__, argv, *choice)
    chosen = {"mnist": args.mnist_dims, "mnist-gray": args.mnist_gray_dims, "frey_faces": args.frey_faces_dims}
    runs = {(data, dims): trained(args, data, dims) for data, several in chosen.items() for dims in several}
    curves = {key: {split: curve(run, split) for split in ("test", "train")} for key, run in runs.items()}
    write(args, 2, ended(runs), picture(curves))


if __name__ == "__main__":
    main()
