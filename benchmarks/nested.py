"""Whether a richer guide ever ends worse than one that it contains, on the digits: a section of RESULTS.md.

    python -m benchmarks.nested [--out runs/nested] [--seeds 3] [--epochs 200]

Every guide here contains MeanField: some setting of its options' parameters is any diagonal Gaussian. Runs of one seed
share the decoder's first weights, the batches and the test noise, so guides are compared within a seed. Run folders
that are finished are not trained again.
"""

import argparse
from pathlib import Path
from statistics import mean

from benchmarks.results import machine, table, write_section
from guides import GUIDES
from pyro_vae.svi import trained

TOLERANCE = 0.1  #: nats per image
#: the guides that hold every diagonal Gaussian; SemiAmortized wraps MeanField by default
CONTAINS = {name: "MeanField" for name, guide in GUIDES.items() if guide.has_density and name != "MeanField"}


def ends(guide: str, seed: int, out: Path, epochs: int) -> tuple[float, float]:
    """The training ELBO of the last tenth of the epochs and the test ELBO of the best weights, nats per image."""
    folder = trained(out / f"{guide}-{seed}", guide=guide, seed=seed, epochs=epochs, quiet=True).folder
    train = [row.elbo for row in folder.read_trace() if row.split == "train"]
    return mean(train[-max(1, epochs // 10) :]), folder.read_metrics()["test_elbo"]["value"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/nested"), help="where the run folders go")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--guides", nargs="+", default=list(CONTAINS))
    parser.add_argument("--note", default="", help="what else a reader of this run's numbers must know")
    options = parser.parse_args()
    inner = [ends("MeanField", seed, options.out, options.epochs) for seed in range(options.seeds)]
    rows = []
    for guide in options.guides:
        outer = [ends(guide, seed, options.out, options.epochs) for seed in range(options.seeds)]
        gains = [[o[i] - m[i] for o, m in zip(outer, inner, strict=True)] for i in range(2)]
        cells = [guide]
        for part in gains:
            verdict = "holds" if min(part) >= -TOLERANCE else "does not hold"
            cells += [", ".join(f"{gain:+.2f}" for gain in part), verdict]
        rows.append(cells)
        print(" | ".join(rows[-1]), flush=True)
    write_section(
        "nested",
        "Nested families on the digits",
        f"`python -m benchmarks.nested --seeds {options.seeds} --epochs {options.epochs}` on {machine()}.\n\n"
        "ELBO minus that of MeanField, which each of these guides contains, for each seed; nats per image. Training:"
        " the mean over the last tenth of the epochs. Test: 250 images, 100 samples of z, the best weights by"
        f" validation ELBO. Nesting holds where no seed is below -{TOLERANCE}; where it holds in training and not in"
        f" the test, the richer family has overfitted the 1,297 training images. {options.note}\n\n"
        + table(["guide", "training, seed by seed", "", "test, seed by seed", ""], rows),
    )


if __name__ == "__main__":
    main()
