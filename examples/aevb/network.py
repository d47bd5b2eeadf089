"""AEVB's networks and training (Kingma & Welling 2013, sections 3 and 5, Appendix C) as options of ``pyro_vae.svi``.

Shared by the scripts of the figures: how to start or resume a run, its length, and the paper's values.

One hidden layer of tanh units for the encoder and for the decoder, 500 on MNIST and 200 on Frey Faces; Adagrad on
minibatches of 100 images, one sample of z, the KL in closed form; a weight decay that is the prior N(0, I) on the
weights. Differences from the paper:

- MNIST is binarised afresh at every step. The paper does not say what it did. "mnist-gray" takes the gray values as
  they are for targets; the Bernoulli's log-likelihood is linear in them, so that its bound is a mean over binarisations
  too, by an encoder that sees the gray image.
- The weights have PyTorch's initial values, the last bias the mean image's; the paper draws them from N(0, 0.01).
- 5,000 of MNIST's 60,000 training images, and 200 of the 1,965 faces, are kept for validation.
- Frey Faces: pixels in [0, 1], Gaussian with a mean through a sigmoid and one standard deviation for each pixel of each
  image, never below 0.01. A density has no upper bound, so this floor is part of the numbers; the paper's is not known.
"""

import argparse
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

import pyro_vae
from pyro_vae import resume
from pyro_vae.data import load_data
from pyro_vae.files import write_atomic
from pyro_vae.pictures import figure_bytes
from pyro_vae.runs import Run, RunFolder

TITLES = {"mnist": "MNIST", "mnist-gray": "MNIST, gray targets", "frey_faces": "Frey Faces"}
HIDDEN = {"mnist": 500, "frey_faces": 200}
LIKELIHOODS: dict[str, Any] = {
    "mnist": "Bernoulli",
    "frey_faces": {"class_path": "Gaussian", "init_args": {"scale": "decoded", "min_scale": 0.01}},
}
TEST_IMAGES = {"mnist": "10,000 of MNIST, one fixed draw of their binarisation", "frey_faces": "200 faces"}
#: training samples evaluated: every image of every epoch counts
SCHEDULES = {
    "cpu": {"mnist": 1.65e6, "frey_faces": 1e6},
    "paper": {"mnist": 1e8, "frey_faces": 1e7},
}

#: of the paper's three, 0.01, 0.02 and 0.1, the one with the best training bound after a few epochs
LR = {"mnist": 0.02, "frey_faces": 0.01}


class Curve(NamedTuple):
    """The bound of one split along a run, nats per image, against the training samples evaluated."""

    samples: np.ndarray
    bound: np.ndarray


def arguments(
    script: str, doc: str | None, argv: list[str] | None, *more: tuple[str, dict[str, Any]]
) -> argparse.Namespace:
    """The shared options and ``more`` of a script; ``command`` of the result has all that are not their defaults."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--schedule", choices=SCHEDULES, default="cpu", help="how long to train: minutes, or as the paper did, for CUDA"
    )
    parser.add_argument("--samples", type=float, help="training samples evaluated by each run, instead of a schedule's")
    parser.add_argument("--data-root", type=Path, help="where downloads are kept, as for pyro_vae.svi")
    parser.add_argument("--out", type=Path, default=Path("runs/aevb"), help="the folder of runs and results")
    for name, settings in more:
        parser.add_argument(name, **settings)
    args = parser.parse_args(argv)
    command = [f"python examples/aevb/{script}.py --schedule {args.schedule}"]
    for name, value in vars(args).items():
        if name not in ("schedule", "data_root", "out", "command") and value != parser.get_default(name):
            words = value if isinstance(value, list) else [value]
            shown = [f"{word:g}" if isinstance(word, float) else str(word) for word in words]
            command.extend([f"--{name.replace('_', '-')}", *shown])
    args.command = " ".join(command)
    return args


def trained(args: argparse.Namespace, data: str, latent_dim: int) -> Run:
    """The run of one data set and one number of latent dimensions, of the length in ``args``.

    The scripts share runs: its folder is ``OUT/DATA-LATENT_DIM``, and a shorter run there is resumed.
    """
    name = data.removesuffix("-gray")
    samples = args.samples or SCHEDULES[args.schedule][name]
    options = {"data": name, "data_root": args.data_root, "latent_dim": latent_dim, **network(name, HIDDEN[name])}
    if name != data:
        options["binarize"] = "none"
    count = len(load_data(name, args.data_root).train)
    return trained_for(args.out / f"{data}-{latent_dim}", samples, count, **options)


def network(data: str, hidden_dim: int) -> dict[str, Any]:
    """Likelihood, encoder, decoder and learning rate for a data set."""
    layers = {"hidden_dims": [hidden_dim], "activation": "tanh"}
    encoder, decoder = ({"class_path": name, "init_args": layers} for name in ("MLPEncoder", "MLPDecoder"))
    return {"likelihood": LIKELIHOODS[data], "encoder": encoder, "decoder": decoder, "lr": LR[data]}


def trained_for(folder: Path, samples: float, count: int, **options: Any) -> Run:
    """The run in this folder with its last weights, after at least ``samples`` of its ``count`` training images."""
    epochs = max(1, round(samples / count))
    if not (folder / "config.yaml").exists():
        pyro_vae.train(
            objective="TraceMeanField_ELBO",
            optimizer="Adagrad",
            weight_decay=1 / count,
            batch_size=100,
            final_samples=1,
            epochs=epochs,
            out=folder,
            **options,
        )
    elif epochs_of(folder) < epochs or not RunFolder(folder).read_metrics().get("finished"):
        resume(folder, epochs=max(epochs, epochs_of(folder)))
    return pyro_vae.load(folder, "last")


def epochs_of(folder: Path) -> int:
    """The number of finished epochs of the run in this folder."""
    return max((row.epoch for row in RunFolder(folder).read_trace()), default=0)


def curve(run: Run, split: str) -> Curve:
    """The bound of a split at the end of each epoch (of training images: over the epoch)."""
    rows = run.folder.read_trace()
    images = len(load_data(run.config.data, run.config.data_root).train)
    found = [row for row in rows if row.split == split]
    return Curve(np.array([row.epoch * images for row in found]), np.array([row.elbo for row in found]))


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [head, ["---"] * len(head), *rows])


def rounded(samples: float) -> str:
    """A number of samples in words: 1.6e6.

    >>> rounded(1_650_000), rounded(100_000_000)
    ('1.6e6', '1e8')
    """
    power = int(math.log10(samples))
    return f"{samples / 10**power:.2g}e{power}"


def whole_decades(low: float, high: float) -> tuple[float, float]:
    """The powers of ten around a range, for an axis.

    >>> whole_decades(55_000, 1_650_000)
    (10000, 10000000)
    """
    return 10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high))


def ended(runs: dict[tuple[str, int], Run]) -> str:
    """The bound at the end of each run, as a table. The paper prints no numbers to compare with."""
    head = ["data", "latent dimensions", "samples", "test bound", "train bound"]
    rows = []
    for (data, dims), run in runs.items():
        test, train = curve(run, "test"), curve(run, "train")
        cells = [rounded(test.samples[-1]), f"{test.bound[-1]:.1f}", f"{train.bound[-1]:.1f}"]
        rows.append([TITLES[data], str(dims), *cells])
    sets = [name for name in TEST_IMAGES if any(data.removesuffix("-gray") == name for data, _ in runs)]
    images = "; ".join(TEST_IMAGES[name] for name in sets)
    paper = " and ".join(f"{rounded(SCHEDULES['paper'][name])} ({TITLES[name]})" for name in sets)
    density = " Frey Faces: a density of pixels in [0, 1] whose standard deviations are at least 0.01."
    return (
        f"{table(head, rows)}\n"
        "Nats per image at the end of training, seed 0, one sample of z; test: all test images after the last epoch"
        f" ({images}); train: the mean over the last epoch. The paper trains for {paper} samples, and prints no"
        f" numbers.{density if 'frey_faces' in sets else ''}\n"
    )


def write(args: argparse.Namespace, number: int, text: str, figure: Figure) -> None:
    """Write ``figureN.md`` and ``figureN.png``, and print the first."""
    page = f"# AEVB, Figure {number}\n\n`{args.command}`\n\n![Figure {number}](figure{number}.png)\n\n{text}"
    write_atomic(args.out / f"figure{number}.md", page)
    write_atomic(args.out / f"figure{number}.png", figure_bytes(figure))
    print(page)
