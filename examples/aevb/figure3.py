"""AEVB's Figure 3: the marginal likelihood while training on few and on many images of MNIST.

    python examples/aevb/figure3.py --out runs/aevb
    python examples/aevb/figure3.py --out runs/aevb --schedule paper      # for CUDA

100 hidden units and 3 latent dimensions; 1,000 training images, and all 55,000 (the paper: 50,000). The run stops at
several numbers of training samples evaluated, and is then resumed; at each stop, importance weighting with the encoder
as the proposal gives a lower bound on log p(x) of the first 1,000 training and test images. The paper estimates
log p(x) from HMC samples (Appendix D). Writes ``figure3.png`` and ``figure3.md``.

This is AEVB, one of the paper's three methods. Wake-sleep and Monte Carlo EM do not maximise one bound over model and
guide by SVI, and need their own training loops.
"""

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from network import arguments, epochs_of, network, rounded, table, trained_for, whole_decades, write

from pyro_vae import estimators
from pyro_vae.data import Binarizer, Images, load_data
from pyro_vae.files import write_array
from pyro_vae.plots import COLOURS
from pyro_vae.runs import Run

HALTS = {"cpu": [1e5, 2e5, 5e5, 1e6, 2e6], "paper": [1e5, 3e5, 1e6, 3e6, 1e7, 2e7, 4e7, 6e7]}
HIDDEN, LATENT_DIM = 100, 3
IMAGES = 1000  #: of each split, as in the paper


def few_images(out: Path, count: int, root: Path | None) -> str:
    """A file of MNIST images with ``count`` for training; a tenth each is for validation and test."""
    path = out / f"mnist-{count}.npy"
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        train = load_data("mnist", root).train
        write_array(path, train.pixels[: count * 10 // 8])
    return str(path)


def bound(run: Run, images: Images, samples: int) -> dict[str, Any]:
    """The bound on log p(x) of the first images of a split, nats per image: mean and standard error over images."""
    x = next(Binarizer(True).held_out(images.take(np.arange(min(IMAGES, len(images)))), IMAGES))
    return estimators.iwae(run.model, run.guide, x, samples).to_dict()


def followed(args: argparse.Namespace, count: int) -> dict[float, dict[str, Any]]:
    """Train on ``count`` images with stops to estimate; return the estimates at each number of samples, by split.

    The run's ``metrics.json`` keeps them, so that a stopped script repeats none.
    """
    whole = load_data("mnist", args.data_root)
    data = "mnist" if count == len(whole.train) else few_images(args.out, count, args.data_root)
    train = load_data(data, args.data_root).train
    options = {"data": data, "data_root": args.data_root, "latent_dim": LATENT_DIM, **network("mnist", HIDDEN)}
    name = f"figure3, iwae_{args.importance}"
    halts, end = HALTS[args.schedule], args.samples or math.inf
    for halt in [*(halt for halt in halts if halt < end), *([end] if args.samples else [])]:
        run = trained_for(args.out / f"figure3-{count}", halt, len(train), **options)
        epoch, known = str(epochs_of(run.folder.path)), run.folder.read_metrics().get(name, {})
        if epoch not in known:
            splits = {"train": train, "test": whole.test}
            known[epoch] = {split: bound(run, images, args.importance) for split, images in splits.items()}
            run.folder.update_metrics(**{name: known})
    return {int(epoch) * len(train): found for epoch, found in known.items()}


def picture(runs: dict[int, dict[float, dict[str, Any]]]) -> Figure:
    """A panel for each number of training images."""
    figure = Figure(figsize=(4.6 * len(runs) + 0.4, 4.4), layout="constrained")
    panels = figure.subplots(1, len(runs), sharey=True, squeeze=False)[0]
    for axes, (count, found) in zip(panels, runs.items(), strict=True):
        for split, style, colour in (("test", "-", COLOURS[0]), ("train", ":", COLOURS[1])):
            values, errors = ([at[split][key] for at in found.values()] for key in ("value", "standard_error"))
            axes.errorbar(list(found), values, errors, fmt=f"o{style}", color=colour, ms=4, capsize=3, label=split)
        axes.set(title=f"{count:,} training images", xscale="log", xlabel="training samples evaluated")
        axes.set_xlim(*whole_decades(min(found), max(found)))
        axes.grid(color="0.92")
        axes.legend(loc="lower right", frameon=False)
    panels[0].set_ylabel("bound on log p(x), nats per image")
    return figure


def results(runs: dict[int, dict[float, dict[str, Any]]], samples: int) -> str:
    """The estimate at each stop. The paper prints no numbers to compare with."""
    head = ["training images", "samples", f"bound on log p(x), K = {samples}, training images", "... test images"]
    rows = []
    for count, found in runs.items():
        for at, splits in found.items():
            cells = [f"{splits[s]['value']:.1f} +- {splits[s]['standard_error']:.1f}" for s in ("train", "test")]
            rows.append([f"{count:,}", rounded(at), *cells])
    return (
        f"{table(head, rows)}\n"
        f"Nats per image on the first {IMAGES:,} images of either split (fewer where there are fewer), one fixed draw"
        f" of their binarisation, +- standard error over images; {samples:,} importance samples for each, which gives a"
        " lower bound in expectation. Seed 0. The paper has 50,000 training images, does not say how it binarised them,"
        " ends at 6e7 samples and prints no numbers.\n"
    )


def main(argv: list[str] | None = None) -> None:
    args = arguments(
        "figure3",
        __doc__,
        argv,
        ("--training-images", {"type": int, "nargs": "+", "default": [1000, 55000]}),
        ("--importance", {"type": int, "default": 500, "help": "importance samples for each image"}),
    )
    runs = {count: followed(args, count) for count in args.training_images}
    write(args, 3, results(runs, args.importance), picture(runs))


if __name__ == "__main__":
    main()
