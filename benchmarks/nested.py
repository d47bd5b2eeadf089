"""Guides on the digits beside MeanField, which each of them contains: a section of RESULTS.md.

    python -m benchmarks.nested [--out runs/nested] [--seeds 3] [--epochs 200]

Every guide here contains MeanField: some setting of its options' parameters is any diagonal Gaussian. Runs of one seed
share the decoder's first weights, the batches and the test noise, so guides are compared within a seed. Finished run
folders are not trained again.
"""

import argparse
from pathlib import Path
from statistics import correlation, linear_regression, mean
from typing import NamedTuple

import numpy as np
from scipy import stats
from torch import Tensor

import pyro_vae
from benchmarks.results import command, machine, table, write_section
from guides import GUIDES
from pyro_vae import train_or_resume
from pyro_vae.data import load_data
from pyro_vae.estimators import active_units

COLUMNS = ["guide", "training, seed by seed", "mean", "test, seed by seed", "mean", "directions, seed by seed"]
CONFIDENCE = 0.95  #: of all intervals of a column together
#: the guides that contain every diagonal Gaussian; SemiAmortized wraps MeanField by default
CONTAINS = {name: "MeanField" for name, guide in GUIDES.items() if guide.has_density and name != "MeanField"}


class End(NamedTuple):
    """Where a run ends: the training ELBO of the last tenth of the epochs and the test ELBO of the best weights, nats
    per image, and how many directions of z the training images move by the last weights."""

    train: float
    test: float
    directions: float


def end(guide: str, seed: int, out: Path, epochs: int, images: Tensor) -> End:
    """The end of the run, which is trained or resumed if it is not finished."""
    folder = train_or_resume(out / f"{guide}-{seed}", guide=guide, seed=seed, epochs=epochs, quiet=True).folder
    train = [row.elbo for row in folder.read_trace() if row.split == "train"]
    found = active_units(pyro_vae.load(folder.path, "last").guide, images)
    test = folder.read_metrics()["test_elbo"]["value"]
    return End(mean(train[-max(1, epochs // 10) :]), test, found.directions.value)


def intervals(gains: np.ndarray) -> list[str]:
    """Mean and interval of each guide's differences, ``(guides, seeds)``, in words.

    The variance is pooled over guides and seeds: the residuals of a two-way layout, with the baseline's row of zeros,
    after a mean for each guide and for each seed. The intervals hold together (Bonferroni).
    """
    table = np.vstack([np.zeros(gains.shape[1]), gains])
    rest = table - table.mean(1, keepdims=True) - table.mean(0, keepdims=True) + table.mean()
    freedom = len(gains) * (gains.shape[1] - 1)
    error = (2 * (rest**2).sum() / freedom / gains.shape[1]) ** 0.5
    half = error * stats.t.ppf(1 - (1 - CONFIDENCE) / 2 / len(gains), freedom)
    return [f"{gain:+.2f} [{gain - half:+.2f}, {gain + half:+.2f}]" for gain in gains.mean(1)]


def directions(ends: list[End]) -> str:
    return ", ".join(f"{end.directions:.1f}" for end in ends)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/nested"), help="where the run folders go")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--guides", nargs="+", default=list(CONTAINS))
    options = parser.parse_args()
    data = load_data("digits").train
    images = data.batch(slice(0, len(data)))
    inner = [end("MeanField", seed, options.out, options.epochs, images) for seed in range(options.seeds)]
    rows = [["MeanField", "", "", "", "", directions(inner)]]
    pairs, lines = [], {}
    differences: dict[str, list[list[float]]] = {"train": [], "test": []}
    for guide in options.guides:
        outer = [end(guide, seed, options.out, options.epochs, images) for seed in range(options.seeds)]
        if guide != "SemiAmortized":  # its gain has another cause: it refines lambda for each image
            pairs += [(o.directions - i.directions, o.train - i.train) for o, i in zip(outer, inner, strict=True)]
        for part, gains in differences.items():
            gains.append([getattr(o, part) - getattr(i, part) for o, i in zip(outer, inner, strict=True)])
        lines[guide] = directions(outer)
        print(guide, lines[guide], flush=True)
    found = {part: intervals(np.array(gains)) for part, gains in differences.items()}
    for i, guide in enumerate(lines):
        cells = [guide]
        for part, gains in differences.items():
            cells += [", ".join(f"{gain:+.2f}" for gain in gains[i]), found[part][i]]
        rows.append([*cells, lines[guide]])
    related = ""
    if len(pairs) > 2:
        more, gain = zip(*pairs, strict=True)
        related = (
            " Without SemiAmortized, the differences in directions and in training ELBO are correlated by"
            f" {correlation(more, gain):.2f}, {linear_regression(more, gain).slope:.1f} nats for a direction. That is a"
            " correlation: no experiment here fixes the directions, so nothing is said about a cause."
        )
    write_section(
        "nested",
        "Nested families on the digits",
        f"`{command('nested', parser, options)}` on {machine()}.\n\n"
        "ELBO minus that of MeanField, which each of these guides contains, for each seed; nats per image. Training:"
        " the mean over the last tenth of the epochs. Test: 250 images, 100 samples of z, the best weights by"
        f" validation ELBO. [ ] are {CONFIDENCE:.0%} intervals of the mean difference, those of a column all together"
        " (Bonferroni), with the variance between seeds pooled over the guides; where an interval holds 0, no"
        " difference is shown. Directions: how many of the 10 of z the training images move, whatever the axes"
        f" (`active_directions` of `pyro_vae.evaluate`); fewer are a collapse.{related}\n\n"
        + table(
            ["guide", "training, seed by seed", "mean", "test, seed by seed", "mean", "directions, seed by seed"], rows
        ),
    )


if __name__ == "__main__":
    main()
