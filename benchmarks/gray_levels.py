"""Digits in 17 gray levels by three likelihoods: log p(x), certified, in nats and in bits per dimension.

    python -m benchmarks.gray_levels [--out runs/gray_levels] [--epochs 150] [--seeds 3] [--images 40]

All three give the same 17 levels of a pixel a probability, so their log p(x) are comparable. The command may be
stopped: what is there already is not made again.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pyro_vae
from benchmarks.measured import LOG_P, Measured, Place, gains, seeds_in_words, span
from benchmarks.results import machine, table, write_section
from pyro_vae.bits import bits_per_dimension
from pyro_vae.evaluate import evaluate
from pyro_vae.metrics import Options
from pyro_vae.runs import RunFolder

LIKELIHOODS = ("DiscretizedLogistic", "BetaBinomial", "Categorical")
SHAPE = (1, 8, 8)
WIDE = {"hidden_dims": [100, 100]}
ELBO = Place("test", "elbo", "elbo")


def trained(likelihood: str, seed: int, options: argparse.Namespace) -> RunFolder:
    """One run, by the same networks and first weights but for the decoder's last layer."""
    folder = RunFolder(options.out / f"{likelihood}-{seed}")
    if not folder.read_metrics().get("finished"):
        pyro_vae.train_or_resume(
            str(folder.path),
            data="digits",
            likelihood=likelihood,
            guide="FullRank",
            encoder={"class_path": "MLPEncoder", "init_args": WIDE},
            decoder={"class_path": "MLPDecoder", "init_args": WIDE},
            epochs=options.epochs,
            seed=seed,
            engine="eager",
            device="cpu",
            quiet=True,
        )
    return folder


def measured(likelihood: str, options: argparse.Namespace) -> Measured:
    """The runs of one likelihood, measured; the certificate is that of seed 0 alone, which costs most."""
    folders = [trained(likelihood, seed, options) for seed in range(options.seeds)]
    chosen = Options(images=options.images, evidence_images=options.images, gap_images=1, certificate_images=20)
    for seed, folder in enumerate(folders):
        names = ["certificate", "evidence", "elbo"] if seed == 0 else ["evidence", "elbo"]
        evaluate([folder.path], chosen, names, train=False)
    return Measured(likelihood, folders)


def row(of: Measured, beyond: dict) -> list[str]:
    """One line of the table."""
    gain = beyond.get(of.guide)
    bits = bits_per_dimension(of.mean(LOG_P), SHAPE)
    parameters = sum(p.numel() for p in pyro_vae.load(of.folders[0].path).model.parameters())
    cells = [of.guide, of.in_words(LOG_P), f"{bits:.3f}", span(gain) if gain else "", of.in_words(ELBO)]
    return [*cells, f"{of.certified_to:.3f}", f"{parameters:,}"]


def write(arms: Sequence[Measured], options: argparse.Namespace) -> None:
    """Write the section of RESULTS.md."""
    baseline = arms[0]
    rows = [row(of, gains(arms, baseline, LOG_P)) for of in arms]
    columns = ["likelihood", "log p(x), nats per image", "bits per dimension", f"beyond {baseline.guide}'s, nats"]
    columns += ["ELBO", "certified to, nats", "parameters of p(x\\|z)"]
    command = f"--epochs {options.epochs} --seeds {options.seeds} --images {options.images}"
    body = (
        f"`python -m benchmarks.gray_levels {command}` on {machine()}.\n\n"
        f"scikit-learn's digits, 17 gray levels, 8 x 8 pixels, 1,297 training images. {seeds_in_words(options.seeds)};"
        f" encoder and decoder of two hidden layers of 100, latent_dim 10, FullRank, {options.epochs} epochs of Adam at"
        " 1e-3, the weights of the best validation ELBO. Each likelihood gives every level of a pixel a probability, so"
        " log p(x) is that of the same event. It is annealed on the first"
        f" {options.images} test images; ± is the standard error over images and seeds, differences are paired with"
        " 95 % intervals that hold together. Certified: two bounds on 20 images that the model of seed 0 draws are so"
        " close, mean and two standard errors. Bits per dimension are -log p(x) / (64 ln 2)."
        f" log2(17) = 4.087 is the cost without a model.\n\n{table(columns, rows)}\n"
    )
    write_section("gray-levels", "Digits in 17 gray levels: three likelihoods", body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/gray_levels"), help="where the run folders are")
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=40, help="paired test images")
    options = parser.parse_args()
    write([measured(likelihood, options) for likelihood in LIKELIHOODS], options)


if __name__ == "__main__":
    main()
