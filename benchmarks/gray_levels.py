"""Digits in 17 gray levels by three likelihoods: log p(x), certified, in nats and in bits per dimension.

    python -m benchmarks.gray_levels [--out runs/gray_levels] [--epochs 80] [--seeds 3] [--images 20] [--simulated 10]

All three give the same 17 levels of a pixel a probability, so their log p(x) are comparable. The command may be
stopped: what is there already is not made again.
"""

import argparse
import io
import json
from math import prod
from pathlib import Path

import numpy as np

import pyro_vae
from benchmarks.evidence_words import shown
from benchmarks.measured import CONFIDENCE, error_of, seeds_in_words, span
from benchmarks.results import machine, table, write_section
from pyro_vae.bits import bits_per_dimension
from pyro_vae.compare.statistics import differences, interval
from pyro_vae.data import load_data
from pyro_vae.estimators import Demand, certify
from pyro_vae.files import read_text, write_atomic
from pyro_vae.runs import RunFolder

LIKELIHOODS = ("DiscretizedLogistic", "BetaBinomial", "Categorical")
WIDE = {"hidden_dims": [100, 100]}
SHAPE = (1, 8, 8)

Values = dict[str, dict[int, np.ndarray]]  #: by likelihood, then by seed: log p(x) of each image


def trained(likelihood: str, seed: int, options: argparse.Namespace) -> RunFolder:
    """One run: the same networks, but for the decoder's last layer."""
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


def log_evidence(folder: RunFolder, images: int) -> np.ndarray:
    """Annealed log p(x) of the first test images, nats; kept in the run folder."""
    path = folder.path / f"scores.{images}.npy"
    if not path.exists():
        x = load_data("digits").test.batch(slice(0, images)).numpy()
        content = io.BytesIO()
        np.save(content, pyro_vae.score(folder.path, x, "exact").log_evidence)
        write_atomic(path, content.getvalue())
    return np.load(path)


def certified(folder: RunFolder, images: int) -> float:
    """How close two bounds on log p(x) come on simulated images, mean and two standard errors, nats; kept."""
    path = folder.path / f"certificate.{images}.json"
    if not path.exists():
        run = pyro_vae.load(folder.path)
        found = certify(run.model, run.guide, demand=Demand(images=images))
        write_atomic(path, json.dumps({"reached": found.reached}))
    return float(json.loads(read_text(path))["reached"])


def write(folders: dict[str, list[RunFolder]], values: Values, options: argparse.Namespace) -> None:
    """Write the section of RESULTS.md."""
    base, rows = LIKELIHOODS[0], []
    beyond = differences(values, base, CONFIDENCE)
    for name, of in folders.items():
        whole = interval(np.stack(list(values[name].values())))
        elbos = [folder.read_metrics()["test_elbo"]["value"] for folder in of]
        parameters = sum(p.numel() for p in pyro_vae.load(of[0].path).model.parameters())
        bits = bits_per_dimension(whole.value, prod(SHAPE))
        cells = [name, f"{whole.value:.2f} ± {error_of(whole):.2f}", f"{bits:.3f}"]
        cells += [span(beyond[name]) if name in beyond else "", f"{np.mean(elbos):.2f}"]
        rows.append([*cells, f"{max(0.0, certified(of[0], options.simulated)):.3f}", f"{parameters:,}"])
    columns = ["likelihood", "log p(x), nats per image", "bits per dimension", f"beyond {base}'s, nats"]
    columns += ["test ELBO", "certified to, nats", "parameters of p(x\\|z)"]
    command = f"--epochs {options.epochs} --seeds {options.seeds} --images {options.images}"
    body = (
        f"`python -m benchmarks.gray_levels {command} --simulated {options.simulated}` on {machine()}.\n\n"
        f"scikit-learn's digits, 17 gray levels, 8 x 8 pixels, 1,297 training images; {seeds_in_words(options.seeds)};"
        f" encoder and decoder of two hidden layers of 100, latent_dim 10, FullRank, {options.epochs} epochs of Adam at"
        " 1e-3, the weights of the best validation ELBO. Each likelihood gives every level of a pixel a probability, so"
        f" log p(x) is that of the same event. It is annealed on the first {options.images} test images; ± is the"
        " standard error over images and seeds; differences are paired, and their 95 % intervals hold together. The"
        " ELBO is that of all 250 test images, 100 samples of z. Certified: on"
        f" {options.simulated} images that the model of seed 0 draws, two bounds on log p(x) are so close, mean and two"
        " standard errors. Bits per dimension are -log p(x) / (64 ln 2); log2(17) = 4.087 is the cost without a model."
        f"\n\n{table(columns, rows)}\n\n- {shown('log p(x)', beyond, base)}\n"
    )
    write_section("gray-levels", "Digits in 17 gray levels: three likelihoods", body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/gray_levels"), help="where the run folders are")
    parser.add_argument("--epochs", type=int, default=80)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=20, help="paired test images")
    parser.add_argument("--simulated", type=int, default=10, help="images of the certificates")
    options = parser.parse_args()
    folders = {name: [trained(name, seed, options) for seed in range(options.seeds)] for name in LIKELIHOODS}
    values = {
        name: {seed: log_evidence(folder, options.images) for seed, folder in enumerate(of)}
        for name, of in folders.items()
    }
    write(folders, values, options)


if __name__ == "__main__":
    main()
