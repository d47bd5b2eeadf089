"""Priors on MNIST, certified: the section "priors" of RESULTS.md.

    python -m benchmarks.priors --data-root DIR [--out runs/evidence] [--epochs 8] [--images 100] [--seeds 3]

Each guide is trained with each prior, all else alike. The runs with a standard normal are those of
:mod:`benchmarks.evidence`; what is there already is neither trained nor measured again.
"""

import argparse
from collections.abc import Sequence

from benchmarks.evidence_words import ELBO, EVIDENCE, shown
from benchmarks.measured import LOG_P, Measured, Place, add_runs, gains, runs_of, seeds_in_words, span
from benchmarks.results import command, machine, table, write_section
from pyro_vae.evaluate import evaluate
from pyro_vae.metrics import Options

STANDARD = "StandardNormal"
PRIORS = (STANDARD, "MixturePrior", "VampPrior", "FlowPrior", "HierarchicalPrior")
#: guides that invert a flow one dimension after the other, which VampPrior asks for each of its posteriors
SEQUENTIAL = ("IAF",)
LEFT_OUT = (
    "{guide} with VampPrior is left out: the prior scores each z under 100 of the guide's posteriors, and {guide}"
    " inverts each of them one dimension after the other. An eager step takes a hundred times as long as MeanField's"
    " (4.2 and 0.04 s), and a run five hours."
)
FIGURES = {EVIDENCE: LOG_P, ELBO: Place("test", "elbo", "elbo"), "KL": Place("test", "elbo", "kl")}


def measured(guide: str, prior: str, options: argparse.Namespace) -> Measured:
    """Train and measure a guide with a prior, all seeds; what is there is not made again."""
    name = guide if prior == STANDARD else f"{guide}-{prior}"
    folders = runs_of(name, options, "--guide", guide, "--prior", prior)
    chosen = Options(
        images=options.images, evidence_images=options.images, gap_images=1, certificate_images=options.simulated
    )
    for folder in folders:
        evaluate([folder.path], chosen, ["certificate", "evidence", "elbo"], train=False, data_root=options.data_root)
    return Measured(prior, folders)


def of_guide(guide: str, arms: Sequence[Measured]) -> tuple[list[list[str]], list[str]]:
    """The lines of one guide, and its sentences."""
    beyond = {figure: gains(arms, arms[0], place) for figure, place in FIGURES.items()}
    rows = []
    for arm in arms:
        cells = [guide, arm.guide]
        for figure, place in FIGURES.items():
            gain = beyond[figure].get(arm.guide)
            cells += [arm.in_words(place), span(gain) if gain else ""]
        rows.append([*cells, f"{arm.certified_to:.3f}"])
    return rows, [f"{guide}: {shown(figure, found, STANDARD)}" for figure, found in beyond.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_runs(parser, ["MeanField", "IAF"], seeds=3)
    parser.add_argument("--priors", nargs="+", default=list(PRIORS), help=f"besides {STANDARD}")
    parser.add_argument("--simulated", type=int, default=100, help="images of the certificate")
    options = parser.parse_args()
    rows: list[list[str]] = []
    sentences: list[str] = []
    for guide in options.guides:
        priors = dict.fromkeys([STANDARD, *options.priors])
        if guide in SEQUENTIAL and "VampPrior" in priors:
            del priors["VampPrior"]
            sentences.append(LEFT_OUT.format(guide=guide))
        lines, words = of_guide(guide, [measured(guide, prior, options) for prior in priors])
        rows += lines
        sentences += words
    columns = ["guide", "prior"]
    for figure in FIGURES:
        columns += [figure, f"beyond {STANDARD}'s"]
    write_section(
        "priors",
        "Priors on MNIST, certified",
        f"`{command('priors', parser, options)}` on {machine()}.\n\n"
        f"AEVB's network, latent_dim 20 (of both layers together with HierarchicalPrior), {options.epochs} epochs,"
        f" {seeds_in_words(options.seeds)}, the first {options.images:,} test images in one draw of the binarisation;"
        " nats per image, ± one standard error over seeds and images, most of it common to the rows. [ ]: 95 %"
        " intervals of the paired difference to the same guide's runs with a standard normal, which hold together for"
        " one guide and quantity, by compare's statistics. The last column is the mean and two standard errors of the"
        f" bracket on {options.simulated} simulated images, of the seed where it is the widest.\n\n"
        + table([*columns, "certified to"], rows)
        + "\n\n"
        + "\n".join(f"- {sentence}" for sentence in sentences),
    )


if __name__ == "__main__":
    main()
