"""Every guide on MNIST with AEVB's network: the table of guides in RESULTS.md.

    python -m benchmarks.guides --data-root DIR [--out runs/guides] [--epochs 30]

Run folders that are finished are not trained again, and measures that they have are not repeated.
"""

import argparse
import json
from pathlib import Path

import torch

import pyro_vae
from benchmarks.results import machine, table, write_section
from guides import GUIDES
from pyro_vae import svi
from pyro_vae.data import Binarizer, load_data
from pyro_vae.evaluation import iwae
from pyro_vae.runs import Run, RunFolder, write_atomic

NETWORK = ["--encoder.hidden_dims", "[500]", "--encoder.activation", "tanh"]
NETWORK += ["--decoder.hidden_dims", "[500]", "--decoder.activation", "tanh"]
SAMPLES = 500


def train(guide: str, out: Path, data_root: Path, epochs: int) -> None:
    """Train one guide, or go on with it; nothing where it is finished."""
    folder = RunFolder(out)
    if folder.read_metrics().get("finished"):
        return
    if (out / "config.yaml").exists():
        svi.main(["--resume", str(out)])
        return
    where = ["--data", "mnist", "--data-root", str(data_root), "--out", str(out)]
    svi.main([*where, "--guide", guide, "--latent-dim", "20", "--epochs", str(epochs), *NETWORK])


def iwae_of(run: Run, data_root: Path) -> dict[str, float]:
    """IWAE_500 on the 10,000 test images, in the draw of the binarisation that the test ELBO has."""
    path = run.folder.path / "iwae_500.json"
    if not path.exists():
        test = load_data("mnist", data_root).test
        x = torch.cat(list(Binarizer(True).held_out(test, 1000)))
        estimate = iwae(run.model, run.guide, x, num_samples=SAMPLES)
        value = {"value": estimate.value, "standard_error": estimate.standard_error}
        write_atomic(path, json.dumps(value))
    return json.loads(path.read_text())


def row(guide: str, run: Run, bound: dict[str, float] | None) -> list[str]:
    """One line of the table."""
    metrics = run.folder.read_metrics()
    elbo = metrics["test_elbo"]
    trained = [row for row in run.folder.read_trace() if row.split == "train"]
    seconds = sum(1 / row.images_per_second for row in trained) / len(trained) * 55_000
    size = sum(p.numel() for p in run.guide.parameters())
    numbers = [f"{elbo['value']:.2f} ± {elbo['standard_error']:.2f}"]
    numbers += [f"{bound['value']:.2f} ± {bound['standard_error']:.2f}" if bound else "no density"]
    return [guide, *numbers, f"{seconds:.1f}", f"{size:,}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="the folder with MNIST/raw")
    parser.add_argument("--out", type=Path, default=Path("runs/guides"), help="where the run folders go")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--guides", nargs="+", default=[name for name, guide in GUIDES.items() if guide.has_density])
    parser.add_argument("--note", default="", help="what else a reader of this run's numbers must know")
    options = parser.parse_args()
    rows = []
    for guide in options.guides:
        train(guide, options.out / guide, options.data_root, options.epochs)
        run = pyro_vae.load(options.out / guide)
        rows.append(row(guide, run, iwae_of(run, options.data_root)))
        print(" | ".join(rows[-1]))
    rows.sort(key=lambda line: -float(line[1].split()[0]))
    columns = ["guide", "test ELBO", f"IWAE_{SAMPLES}", "seconds per epoch", "parameters of the guide"]
    write_section(
        "guides",
        "Guides on MNIST, AEVB's network",
        f"`python -m benchmarks.guides --data-root DIR --epochs {options.epochs}` on {machine()}.\n\n"
        "Dynamically binarised MNIST, 55,000 training images, one decoder (one hidden layer of 500, tanh, latent_dim"
        f" 20, the same first weights), {options.epochs} epochs of Adam at 1e-3 in batches of 100, Trace_ELBO with one"
        " sample,"
        " seed 0, default options of each guide. Nats per image on the 10,000 test images in one draw of the"
        f" binarisation: the ELBO with 100 samples of z, the lower bound IWAE_{SAMPLES} on log p(x); ± is the standard"
        " error over images, nearly all of it common to the rows. One seed: differences below a few tenths of a nat are"
        f" not shown to be any. {options.note}\n\n" + table(columns, rows),
    )


if __name__ == "__main__":
    main()
