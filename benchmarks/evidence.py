"""log p(x) on MNIST, certified, beside the bounds: does the order of the guides change?

    python -m benchmarks.evidence --data-root DIR [--out runs/evidence] [--epochs 8] [--images 100] [--seeds 3]
    python -m benchmarks.evidence --data-root DIR --images 10000 --guides MeanField IAF

Trains guides with AEVB's network, measures them with ``pyro_vae.evaluate``, and holds the stated error of log p(x)
against grids where latent_dim is 2. Both commands may be stopped: what is there already is not made again, and of a
measurement the images that are done. With more than 500 images, and with all, the section of RESULTS.md is one of its
own.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.against_grids import against_grids
from benchmarks.evidence_cost import cost
from benchmarks.evidence_words import ELBO, EVIDENCE, in_words
from benchmarks.measured import LOG_P, Measured, Place, add_runs, gains, refusal, runs_of, seeds_in_words, span
from benchmarks.results import command, machine, table, write_section
from pyro_vae.compare.statistics import Interval
from pyro_vae.evaluate import evaluate
from pyro_vae.metrics import Options

FIGURES = {EVIDENCE: LOG_P, "IWAE_5000": Place("test", "iwae", "iwae"), ELBO: Place("test", "elbo", "elbo")}
#: more images than these make a section of their own, of this name; a run folder keeps one measurement of each metric
MANY = {"all": 5000, "many": 500}


def part_of(images: int) -> str | None:
    """The name of the section of so many images, and of their runs' folder; None of those with few."""
    return next((name for name, more in MANY.items() if images > more), None)


def is_told() -> bool:
    """Whether the table says what log p(x) costs a processor; not of runs that share a GPU."""
    return not torch.cuda.is_available()


def measured(guide: str, options: argparse.Namespace) -> Measured:
    """Train and measure one guide with all seeds; what is there is not made again."""
    folders = runs_of(guide, options, "--guide", guide)
    chosen = Options(
        images=options.images, evidence_images=options.images, gap_images=1, certificate_images=options.simulated
    )
    names = ["certificate", "evidence", "iwae", "elbo"]
    for folder in folders:
        evaluate([folder.path], chosen, names, train=False, data_root=options.data_root)
        if is_told():
            cost(folder, options.data_root)
    return Measured(guide, folders)


def row(of: Measured, beyond: dict[str, dict[str, Interval]], data_root: Path) -> list[str]:
    """One line of the table; a figure of several seeds is their mean."""
    cells = [of.guide]
    for figure, place in FIGURES.items():
        gain = beyond[figure].get(of.guide)
        cells += [of.in_words(place), span(gain) if gain else ""]
    brackets = of.figures(Place("simulated", "certificate", "certified_gap"))
    worst = max(brackets, key=lambda figure: figure["value"] + 2 * figure["standard_error"])
    cells += [f"{worst['value']:.3f} ± {worst['standard_error']:.3f}", f"{of.certified_to:.3f}"]
    cells.append(f"{of.mean(Place('test', 'evidence', 'evidence_change')):.3f}")
    if not is_told():
        return cells
    spent = [cost(folder, data_root) for folder in of.folders]
    cells += [f"{max(c['seconds'] for c in spent):.0f}", f"{max(c['mebibytes'] for c in spent):,.0f}"]
    trained = [folder.read_metrics()["core_seconds"] for folder in of.folders]
    return [*cells, f"{sum(trained) / len(trained):,.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_runs(parser, ["MeanField", "FullRank", "RealNVP", "IAF"])
    parser.add_argument("--simulated", type=int, default=100, help="images of the certificate")
    parser.add_argument("--repetitions", type=int, default=50, help="on the digits, of each image with a grid; 0: none")
    parser.add_argument("--on-mnist", type=int, default=20, help="on MNIST, of each image with a grid; 0: none")
    options = parser.parse_args()
    if part := part_of(options.images):
        options.out /= part
    refused = {guide: why for guide in options.guides if (why := refusal(guide))}
    guides = [measured(guide, options) for guide in options.guides if guide not in refused]
    write(guides, list(refused.values()), options, command("evidence", parser, options))


def write(guides: Sequence[Measured], refused: Sequence[str], options: argparse.Namespace, asked: str) -> None:
    """Write the section of RESULTS.md."""
    baseline, part = guides[0], part_of(options.images)
    beyond = {figure: gains(guides, baseline, place) for figure, place in FIGURES.items()}
    rows = [row(of, beyond, options.data_root) for of in guides]
    columns = ["guide"]
    for figure, bound in zip(FIGURES, ("", " (lower bound)", ""), strict=True):
        columns += [f"{figure}{bound}", f"beyond {baseline.guide}'s"]
    columns += ["bracket on simulated images", "its mean + 2 s.e.", "change at 5 times the temperatures"]
    costs = ""
    if is_told():
        columns += ["processor seconds, 100 images", "MiB, peak", "processor seconds, training"]
        costs = (
            f" Processor seconds are those of a process on {torch.get_num_threads()} thread(s) for each run, for log"
            " p(x) alone at the temperatures that were certified, so that the clock of two idle cores shows no more;"
            " peak memory is that of the same process, with PyTorch and the data; both are the largest of the seeds'."
            " Those of training are the mean of the runs: all guides have the same epochs, not the same time."
        )
    of_grids = against_grids(options.out, options.data_root, options.repetitions, options.on_mnist)
    values = {figure: {of.guide: of.by_seed(place) for of in guides} for figure, place in FIGURES.items()}
    said = in_words(values, {of.guide: of.certified_to for of in guides}, baseline.guide)
    sentences = [*said, *refused, *of_grids]
    over = "over seeds and images" if options.seeds > 1 else "over images alone"
    write_section(
        f"evidence-{part}" if part else "evidence",
        f"log p(x) on {options.images:,} images of MNIST, certified" if part else "log p(x) on MNIST, certified",
        f"`{asked}` on {machine()}.\n\n"
        f"AEVB's network, latent_dim 20, {options.epochs} epochs, {seeds_in_words(options.seeds)}, the first"
        f" {options.images:,} test images in one draw of the binarisation; nats per image, ± one standard error {over},"
        " nearly all of it common to the rows. [ ]: 95 % intervals of the paired difference that hold together in a"
        f" column, {over}, by compare's statistics. The bracket is the distance of the lower and the upper bound on"
        f" {options.simulated} images that the model draws, of the seed where it is the widest.{costs}\n\n"
        + table(columns, rows)
        + "\n\n"
        + "\n".join(f"- {sentence}" for sentence in sentences),
    )


if __name__ == "__main__":
    main()
