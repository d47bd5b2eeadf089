"""The cost of bfloat16 products in nats: the section "precision" of RESULTS.md.

    python -m benchmarks.precision --data-root DIR [--out runs/precision] [--epochs 30] [--seeds 3]

AEVB's network on MNIST, trained in float32 and in bfloat16 from the same seeds. Finished run folders are not trained
again.
"""

import argparse
import statistics
from pathlib import Path

from benchmarks.guides import trained
from benchmarks.results import machine, table, write_section

ALLOWED = 0.3  #: nats per image by which the mean test ELBO in bfloat16 may differ from float32's
PRECISIONS = ("fp32", "bf16")


def test_elbo(precision: str, seed: int, out: Path, data_root: Path, epochs: int) -> float:
    """The test ELBO of one run, nats per image; it is trained if needed."""
    chosen = ["--guide", "MeanField", "--epochs", str(epochs), "--precision", precision, "--seed", str(seed)]
    folder = trained(out / f"{precision}-seed{seed}", data_root, *chosen)
    return folder.read_metrics()["test_elbo"]["value"]


def section(elbos: dict[str, list[float]], epochs: int) -> str:
    """The Markdown of both precisions' test ELBOs, one a seed, in the same order."""
    pairs = list(zip(*(elbos[name] for name in PRECISIONS), strict=True))
    differences = [low - full for full, low in pairs]
    mean = statistics.mean(differences)
    rows = [[f"{seed}", f"{a:.2f}", f"{b:.2f}", f"{b - a:+.2f}"] for seed, (a, b) in enumerate(pairs)]
    rows.append(["mean", *(f"{statistics.mean(elbos[name]):.2f}" for name in PRECISIONS), f"{mean:+.2f}"])
    error = ""
    if len(pairs) > 1:
        spread = statistics.stdev(differences) / len(pairs) ** 0.5
        error = f" ± {spread:.2f} (standard error over {len(pairs)} seeds)"
    verdict = "met" if abs(mean) <= ALLOWED else "not met"
    return (
        f"Dynamically binarised MNIST, MeanField, one hidden layer of 500 (tanh) on each side, latent_dim 20, {epochs}"
        " epochs of Adam at 1e-3 in batches of 100, Trace_ELBO with one sample. The test ELBO with 100 samples of z on"
        " the 10,000 test images, nats per image; a seed gives both precisions the same first weights, order of the"
        " images and binarisation.\n\n"
        + table(["seed", "float32", "bfloat16 products", "difference"], rows)
        + f"\n\nThe difference is {mean:+.2f}{error}; allowed is {ALLOWED} either way: {verdict}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="the folder with MNIST/raw")
    parser.add_argument("--out", type=Path, default=Path("runs/precision"), help="where the run folders go")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    elbos: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    for seed in range(options.seeds):
        for precision in PRECISIONS:
            elbos[precision].append(test_elbo(precision, seed, options.out, options.data_root, options.epochs))
    body = section(elbos, options.epochs)
    print(body)
    command = f"`python -m benchmarks.precision --data-root DIR --epochs {options.epochs} --seeds {options.seeds}`"
    write_section("precision", "bfloat16 beside float32", f"{command} on {machine()}.\n\n{body}")


if __name__ == "__main__":
    main()
