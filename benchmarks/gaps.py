"""How good the posteriors are, and why, on certified log p(x): the section of the inference gap in RESULTS.md.

    python -m benchmarks.gaps --data-root DIR [--guides MeanField Householder IAF] [--seeds 3] [--images 100]

Trains guides with AEVB's network, as :mod:`benchmarks.evidence` does, whose runs it shares, and measures them with
``pyro_vae.evaluate``. It may be stopped: what is there already is not made again.
"""

import argparse
from collections.abc import Sequence
from functools import partial

from benchmarks.measured import CERTIFIED, LOG_P, Measured, Place, add_runs, gains, runs_of, seeds_in_words, span
from benchmarks.results import machine, table, write_section
from pyro_vae.estimators import LocalOptimization
from pyro_vae.evaluate import evaluate
from pyro_vae.metrics import Options
from pyro_vae.metrics.free_gap import FreeGap

#: affordable on two cores for a hundred images; Cremer et al. take 100 draws, steps of 1e-3 and ten checks of 100
LOCAL = LocalOptimization(num_samples=20, lr=5e-3, check_every=50, patience=5, max_steps=2000)
FREE = (20, 2000)  #: draws and steps of the search with the networks free
TEST, TRAIN, FREED = (partial(Place, *where) for where in (("test", "gap"), ("train", "gap"), ("test", "free_gap")))
JUDGED = partial(Place, "test", "judgement")
#: title, its place in metrics.json, digits
ROWS = [
    ("log p(x), annealed, test", LOG_P, 2),
    ("IWAE_5000, test (lower bound)", Place("test", "iwae", "iwae"), 2),
    ("ELBO, test", Place("test", "elbo", "elbo"), 2),
    ("approximation gap, networks frozen, test", TEST("approximation_gap"), 2),
    ("amortization gap, networks frozen, test", TEST("amortization_gap"), 2),
    ("inference gap: their sum, test", TEST("inference_gap"), 2),
    ("approximation gap, networks free, first test images", FREED("approximation_gap_free"), 2),
    ("what free networks gain, first test images", FREED("networks_gain"), 2),
    ("approximation gap, networks frozen, train", TRAIN("approximation_gap"), 2),
    ("amortization gap, networks frozen, train", TRAIN("amortization_gap"), 2),
    ("inference gap: their sum, train", TRAIN("inference_gap"), 2),
    ("KL(p ∥ q), test", JUDGED("kl_to_q"), 2),
    ("mass of p in q's densest 90 %, test", JUDGED("mass_90"), 3),
    ("PSIS k-hat, test", Place("test", "importance", "k_hat"), 2),
    ("effective sample size, part of the draws, test", Place("test", "importance", "effective_samples"), 3),
]
COMPARED = ("inference_gap", "approximation_gap", "amortization_gap")


def measured(guide: str, options: argparse.Namespace) -> Measured:
    """Train and measure one guide with all seeds; what is there is not made again."""
    folders = runs_of(guide, options, "--guide", guide)
    settings = Options(images=options.images, evidence_images=options.images, gap_images=options.images, local=LOCAL)
    free_gap = FreeGap(options.free, *FREE)
    for folder in folders:
        names = ["certificate", "evidence", "iwae", "elbo", "gap", free_gap, "judgement", "importance"]
        evaluate([folder.path], settings, names, train=False, data_root=options.data_root)
        evaluate([folder.path], settings, ["certificate", "elbo", "evidence", "gap"], data_root=options.data_root)
    return Measured(guide, folders)


def in_words(guides: Sequence[Measured], baseline: Measured) -> list[str]:
    """What the table shows: the larger part of each gap, differences to the baseline, what is not at rest."""
    sentences = []
    for of in guides:
        family, encoder = (of.mean(TEST(f"{part}_gap")) for part in ("approximation", "amortization"))
        larger = "family" if family > encoder else "encoder"
        lost = of.mean(TRAIN("inference_gap"))
        free = of.figures(FREED("settled_free"))[0]["images"]
        sentences.append(
            f"{of.guide} loses {family + encoder:.2f} nats to the posterior, most of it by its {larger}, and {lost:.2f}"
            f" on training images; log p(x) is certified to {of.certified_to:.2f} on simulated images; the search for"
            f" q* was at rest for {of.mean(TEST('settled')):.0%} of the test images, with networks free for"
            f" {of.mean(FREED('settled_free')):.0%} of {free}."
        )
    for part in COMPARED:
        found = gains(guides, baseline, TEST(part))
        words = [f"{guide} {span(gain)} ({gain.verdict})" for guide, gain in found.items()]
        if words:
            sentences.append(f"{part.replace('_', ' ').capitalize()} beyond {baseline.guide}'s: {'; '.join(words)}.")
    return sentences


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_runs(parser, ["MeanField", "Householder", "IAF"], seeds=3)
    parser.add_argument("--free", type=int, default=10, help="images of the search with the networks free")
    options = parser.parse_args()
    guides = [measured(guide, options) for guide in options.guides]
    rows = [[title, *(of.in_words(place, digits) for of in guides)] for title, place, digits in ROWS]
    rows.append(
        [
            "log p(x) certified to, simulated images",
            *(f"{max(f['value'] for f in of.figures(CERTIFIED)):.3f}" for of in guides),
        ]
    )
    command = f"--guides {' '.join(options.guides)} --epochs {options.epochs} --seeds {options.seeds}"
    over = "over seeds and images" if options.seeds > 1 else "over images alone"
    write_section(
        "gaps",
        "The inference gap on MNIST, split",
        f"`python -m benchmarks.gaps --data-root DIR {command} --images {options.images} --free {options.free}` on"
        f" {machine()}.\n\n"
        f"AEVB's network, latent_dim 20, {options.epochs} epochs, {seeds_in_words(options.seeds)}, on the first"
        f" {options.images} images of the test and the training set, in one draw of the binarisation; nats per image, ±"
        f" one standard error {over}. log p(x) is annealed from each image's best Gaussian. The posterior"
        " of each image is optimised from the amortized start (Cremer, Li & Duvenaud 2018) by Adam at"
        f" {LOCAL.lr:g} with {LOCAL.num_samples} draws, until {LOCAL.patience} checks of {LOCAL.check_every} steps"
        f" bring no gain or {LOCAL.max_steps:,} steps are done. The approximation gap is log p(x) - ELBO at that q*,"
        " the amortization gap the rest of log p(x) - ELBO. With networks frozen lambda alone moves; with them free"
        " each image has its own copy of the networks in its posterior, if the family has any. [ ]: 95 % intervals by"
        f" compare's statistics, {over}.\n\n"
        + table(["quantity", *options.guides], rows)
        + "\n\n"
        + "\n".join(f"- {sentence}" for sentence in in_words(guides, guides[0])),
    )


if __name__ == "__main__":
    main()
