"""log p(x) on MNIST, certified, beside the bounds: does the order of the guides change?

    python -m benchmarks.evidence --data-root DIR [--out runs/evidence] [--epochs 5] [--images 100]

Trains guides with AEVB's network, measures them with ``pyro_vae.evaluate``, and tests the stated error of log p(x) on
the digits, where a grid knows the truth. What is there already is not made again.
"""

import argparse
from pathlib import Path
from typing import Any

import torch

import pyro_vae
from benchmarks.guides import trained
from benchmarks.results import machine, table, write_section
from pyro_vae.build import sees_binary
from pyro_vae.data import Binarizer, load_data
from pyro_vae.estimators import log_evidence
from pyro_vae.evaluate import evaluate
from pyro_vae.evaluate.ledger import Ledger, joined
from pyro_vae.metrics import Options
from pyro_vae.runs import RunFolder
from pyro_vae.testing.grid import grid_evidence

SHOWN = {"log p(x)": ("evidence", "log_evidence"), "IWAE_5000": ("iwae", "iwae"), "ELBO": ("elbo", "elbo")}


def measured(folder: RunFolder, data_root: Path, images: int) -> dict[str, Any]:
    """What evaluate says of a run on its first test images."""
    options = Options(images=images, evidence_images=images, gap_images=1, certificate_images=images)
    names = ["certificate", "evidence", "iwae", "elbo"]
    evaluate([folder.path], options, names, train=False, data_root=data_root)
    return folder.read_metrics()["evaluation"]


def per_image(folder: RunFolder, figure: str) -> torch.Tensor:
    """A figure of each test image, nats."""
    measure, name = SHOWN[figure]
    settings = folder.read_metrics()["evaluation"]["test"][measure]["settings"]
    found = joined(Ledger(folder).begun("test", measure, settings)[0]).estimates[name].per_image
    assert found is not None
    return found


def row(guide: str, evaluation: dict[str, Any]) -> list[str]:
    """One line of the table."""

    def figure(source: str, measure: str, name: str) -> dict[str, Any]:
        return evaluation[source][measure]["figures"][name]

    def spread(found: dict[str, Any], digits: int = 2) -> str:
        return f"{found['value']:.{digits}f} ± {found['standard_error']:.{digits}f}"

    cells = [spread(figure("test", *where)) for where in SHOWN.values()]
    gap, change = figure("simulated", "certificate", "certified_gap"), figure("test", "evidence", "evidence_change")
    seconds = evaluation["test"]["evidence"]["seconds"]
    return [guide, cells[0], spread(gap, 3), spread(change, 3), *cells[1:], f"{seconds:.0f}"]


def order(folders: dict[str, RunFolder]) -> list[str]:
    """Sentences: in which order each figure puts the guides, and how far each bound is below log p(x)."""
    means = {name: {guide: per_image(f, name).mean().item() for guide, f in folders.items()} for name in SHOWN}
    ranked = {name: sorted(values, key=values.__getitem__, reverse=True) for name, values in means.items()}
    sentences = [f"By {name} the order is {', '.join(guides)}." for name, guides in ranked.items()]
    alike = all(guides == ranked["log p(x)"] for guides in ranked.values())
    sentences.append("All three give the same order." if alike else "The order is not the same for all three.")
    for name in list(SHOWN)[1:]:
        below = [f"{means['log p(x)'][guide] - value:.2f} ({guide})" for guide, value in means[name].items()]
        sentences.append(f"{name} is below log p(x) by {', '.join(below)}.")
    return sentences


def repeated(out: Path, images: int = 20, seeds: int = 50) -> str:
    """How often the stated error of each image covers the truth of a grid, on digits with two latent dimensions."""
    if not (out / "checkpoint.last.safetensors").exists():
        pyro_vae.train(data="digits", epochs=15, latent_dim=2, engine="eager", device="cpu", out=str(out))
    run = pyro_vae.load(out)
    x = next(Binarizer(sees_binary(run.config, run.model)).held_out(load_data("digits").test, images))
    truth = grid_evidence(run.model, x)
    off, stated = [], []
    for seed in range(seeds):
        found = log_evidence(run.model, run.guide, x, seed=seed)
        assert found.per_image is not None
        assert found.per_image_error is not None
        off.append(found.per_image - truth)
        stated.append(found.per_image_error)
    z = torch.stack(off) / torch.stack(stated)
    means, errors = torch.stack(off).mean(1), torch.stack(stated).square().sum(1).sqrt() / images
    every = torch.stack(off)
    covered, of_means = (z.abs() < 2).double().mean(), (means.abs() < 2 * errors).double().mean()
    return (
        f"On {images} images of the digits with two latent dimensions, where a grid knows log p(x), {seeds} seeds are"
        f" off by {every.mean():+.4f} nats on average and by {every.abs().max():.3f} for the worst image and seed; two"
        f" stated errors of an image cover the truth in {covered:.1%} of cases, and two of the mean in {of_means:.0%}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="the folder with MNIST/raw")
    parser.add_argument("--out", type=Path, default=Path("runs/evidence"), help="where the run folders are")
    parser.add_argument("--guides", nargs="+", default=["MeanField", "FullRank", "IAF"])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--images", type=int, default=100)
    options = parser.parse_args()
    folders = {
        guide: trained(options.out / guide, options.data_root, "--guide", guide, "--epochs", str(options.epochs))
        for guide in options.guides
    }
    rows = [row(guide, measured(folder, options.data_root, options.images)) for guide, folder in folders.items()]
    columns = ["guide", "log p(x)", "bracket on simulated images", "change at 5 times the temperatures"]
    columns += ["IWAE_5000 (lower bound)", "ELBO", "seconds for log p(x)"]
    write_section(
        "evidence",
        "log p(x) on MNIST, certified",
        f"`python -m benchmarks.evidence --data-root DIR --guides {' '.join(options.guides)} --epochs {options.epochs}"
        f" --images {options.images}` on {machine()}.\n\n"
        f"AEVB's network, latent_dim 20, {options.epochs} epochs, one seed, the first {options.images} test images in"
        " one draw of the binarisation; nats per image, ± one standard error over images, nearly all of it common to"
        " the rows; of the bracket and the change it is that of the figure. One training each: what is compared here"
        " are estimators, not guides. Three seeds, 1,000 paired images and longer training are not measured here.\n\n"
        + table(columns, rows)
        + "\n\n"
        + " ".join([*order(folders), repeated(options.out / "digits-2")]),
    )


if __name__ == "__main__":
    main()
