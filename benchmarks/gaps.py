"""How good the posteriors are, and why: the section of the inference gap in RESULTS.md.

    python -m benchmarks.guides --data-root DIR --guides MeanField Householder IAF
    python -m benchmarks.gaps --data-root DIR [--runs runs/guides] [--guides MeanField Householder IAF] [--images 100]

Measures the runs of :mod:`benchmarks.guides` with ``pyro_vae.evaluate``; existing measurements are not repeated.
"""

import argparse
from pathlib import Path
from typing import Any

from benchmarks.results import machine, table, write_section
from pyro_vae.estimators import Annealing, LocalOptimization
from pyro_vae.evaluate import evaluate
from pyro_vae.metrics import Options
from pyro_vae.runs import RunFolder

#: affordable on two cores for a hundred images; Cremer et al. take 100 draws, steps of 1e-3 and ten checks of 100
LOCAL = LocalOptimization(num_samples=20, lr=5e-3, check_every=50, patience=5, max_steps=2000)
#: title, its place in metrics.json, digits
ROWS = [
    ("ELBO, test", ("test", "elbo", "elbo"), 2),
    ("IWAE_5000, test (lower bound)", ("test", "iwae", "iwae"), 2),
    ("AIS, test (lower bound)", ("test", "ais", "ais"), 2),
    ("IWAE_1000 at the optimised posterior q*, test (lower bound)", ("test", "gap", "iwae_best"), 2),
    ("approximation gap: IWAE_1000 - ELBO, both at q*, test", ("test", "gap", "approximation_gap"), 2),
    ("amortization gap: ELBO at q* - ELBO, test", ("test", "gap", "amortization_gap"), 2),
    ("inference gap: their sum, test", ("test", "gap", "inference_gap"), 2),
    ("approximation gap: IWAE_1000 - ELBO, both at q*, train", ("train", "gap", "approximation_gap"), 2),
    ("amortization gap: ELBO at q* - ELBO, train", ("train", "gap", "amortization_gap"), 2),
    ("inference gap: their sum, train", ("train", "gap", "inference_gap"), 2),
    ("PSIS k-hat, mean", ("test", "importance", "k_hat"), 2),
    ("images with k-hat above 0.7", ("test", "importance", "unreliable"), 2),
    ("effective sample size, part of the draws", ("test", "importance", "effective_samples"), 3),
    ("active units", ("test", "units", "active_units"), 0),
    ("calibration, p of uniform ranks", ("simulated", "calibration", "calibration"), 3),
    ("bracket around AIS on simulated images", ("simulated", "bracket", "bracket_gap"), 2),
]


def cell(metrics: dict[str, Any], path: tuple[str, str, str], digits: int) -> str:
    """A metric with its standard error, or the reason why there is none."""
    entry = metrics["evaluation"].get(path[0], {}).get(path[1], {})
    if "figures" not in entry:
        return "not defined"
    figure = entry["figures"].get(path[2])
    if figure is None:
        return "—"
    error = figure.get("standard_error")
    return f"{figure['value']:.{digits}f}" + (f" ± {error:.{digits}f}" if error and digits else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="the folder with MNIST/raw")
    parser.add_argument("--runs", type=Path, default=Path("runs/guides"), help="where the run folders are")
    parser.add_argument("--guides", nargs="+", default=["MeanField", "Householder", "IAF"])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--temperatures", type=int, default=200)
    parser.add_argument("--chains", type=int, default=8)
    options = parser.parse_args()
    annealing = Annealing(chains=options.chains, temperatures=options.temperatures)
    settings = Options(
        images=options.images, gap_images=options.images, annealing=annealing, local=LOCAL, bracket_images=20
    )
    measures = ["elbo", "iwae", "importance", "units", "ais", "gap", "calibration", "bracket"]
    columns = []
    for guide in options.guides:
        folder = RunFolder(options.runs / guide)
        evaluate([folder.path], settings, measures, data_root=options.data_root)
        columns.append([cell(folder.read_metrics(), path, digits) for _, path, digits in ROWS])
    rows = [[title, *line] for (title, _, _), line in zip(ROWS, zip(*columns, strict=True), strict=True)]
    write_section(
        "gaps",
        "The inference gap on MNIST, split",
        f"`python -m benchmarks.guides --data-root DIR --guides {' '.join(options.guides)}`, then"
        f" `python -m benchmarks.gaps --data-root DIR --guides {' '.join(options.guides)} --images {options.images}"
        f" --temperatures {options.temperatures} --chains {options.chains}` on {machine()}.\n\n"
        f"The runs of the table of guides, on the first {options.images} images of the test and the training set, in"
        " one draw of the binarisation; nats per image, ± the standard error over images. The posterior of each image"
        f" is optimised from the amortized start (Cremer, Li & Duvenaud 2018) by Adam at {LOCAL.lr:g} with"
        f" {LOCAL.num_samples} draws, until {LOCAL.patience} checks of {LOCAL.check_every} steps bring no gain."
        f" AIS has {options.chains} chains and {options.temperatures} temperatures with HMC; its bracket is the mean"
        " distance of the forward and the reverse bound on images simulated from the model. In place of log p(x) stands"
        " IWAE_1000 at q*. Where k-hat is above 0.7 for nearly every image, as the table says of the amortized q, these"
        " bounds may be nats below log p(x), and the tighter the better the guide is: of the differences between"
        " guides, no more than the sign is to be believed. Of a guide with networks in its posterior, such as IAF,"
        " lambda alone moves to q*: its approximation gap is not that of the whole family.\n\n"
        + table(["figure", *options.guides], rows),
    )


if __name__ == "__main__":
    main()
