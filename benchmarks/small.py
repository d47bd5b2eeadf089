"""Small data in ten minutes: digits, wine and breast cancer, five seeds each, held against the committed numbers.

    python -m benchmarks.small [--out runs/small]            # exit code 1 where a number is no longer the committed one
    python -m benchmarks.small --commit                      # these are the numbers from now on

A number is the mean test ELBO over the seeds. It is the committed one if it is no further from it than three standard
errors of the difference over seeds (the seeds are the same) or 0.05 nat, whichever is more.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.measured import Measured, Place, gains, span
from benchmarks.results import command, machine, table, write_section
from pyro_vae.evaluate import evaluate
from pyro_vae.files import read_text, write_atomic
from pyro_vae.lifecycle import complete
from pyro_vae.metrics import Options
from pyro_vae.options import make_parser, parse_arguments, settle

COMMITTED = Path(__file__).with_name("small.json")
ELBO = Place("test", "elbo", "elbo")
DATA = {
    "digits": ["--epochs", "100"],
    "wine": ["--epochs", "300", "--latent-dim", "5"],
    "breast_cancer": ["--epochs", "100", "--latent-dim", "5"],
}
GUIDES = ("MeanField", "FullRank", "IAF")
SLACK = 0.05  #: nat: what another machine's arithmetic may change


def measured(data: str, guide: str, seeds: int, out: Path) -> Measured:
    """Runs of one guide on one data set, trained and measured unless that is done."""
    folders = []
    for seed in range(seeds):
        words = ["--data", data, "--guide", guide, "--seed", str(seed), "--engine", "eager", *DATA[data]]
        parser = make_parser()
        folder = complete(out / f"{data}-{guide}-{seed}", settle(parser, parse_arguments(parser, words)))
        evaluate([folder.path], Options(), ["elbo"], train=False, quiet=True)
        folders.append(folder)
    return Measured(guide, folders)


def by_seed(arm: Measured) -> list[float]:
    """The mean ELBO of each seed, nats per row."""
    return [float(values.mean()) for values in arm.by_seed(ELBO).values()]


def moved(now: Sequence[float], committed: Sequence[float]) -> bool:
    """Whether the mean is further from the committed one than chance and arithmetic explain."""
    difference = np.subtract(now, committed)
    error = difference.std(ddof=1) / len(difference) ** 0.5 if len(difference) > 1 else 0.0
    return bool(abs(difference.mean()) > max(3 * error, SLACK))


def sentence(data: str, arms: Sequence[Measured]) -> str:
    """What the seeds show of the guides on these data."""
    found = gains(arms, arms[0], ELBO)
    shown = [f"{name} {'higher' if of.low > 0 else 'lower'}" for name, of in found.items() if of.low > 0 or of.high < 0]
    least = max(of.high - of.low for of in found.values()) / 2
    said = " and ".join(shown) if shown else "no difference"
    return f"{data}: beside {arms[0].guide}, {said} is shown; an interval is at most {least:.2f} nats to either side."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/small"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--commit", action="store_true", help="write these numbers to small.json and RESULTS.md")
    options = parser.parse_args()
    arms = {data: [measured(data, guide, options.seeds, options.out) for guide in GUIDES] for data in DATA}
    numbers = {data: {arm.guide: by_seed(arm) for arm in of} for data, of in arms.items()}
    rows = []
    for data, of in arms.items():
        beyond = gains(of, of[0], ELBO)
        for arm in of:
            rows.append([data, arm.guide, arm.in_words(ELBO), span(beyond[arm.guide]) if arm.guide in beyond else ""])
    sentences = "\n".join(f"- {sentence(data, of)}" for data, of in arms.items())
    print(table(["data", "guide", "test ELBO", "beyond MeanField's"], rows), sentences, sep="\n\n")
    if options.commit:
        write_atomic(COMMITTED, json.dumps(numbers, indent=1) + "\n")
        commands = "\n".join(f"- `--data {data} {' '.join(words)}`" for data, words in DATA.items())
        write_section(
            "small",
            "Small data: digits, wine, breast cancer",
            f"`{command('small', parser, options)} --commit` on {machine()}.\n\n{commands}\n\n{options.seeds} seeds;"
            " ELBO in"
            " nats per row, on all test rows (of tables a density in the columns' own units), ± one standard error over"
            " seeds and rows. [ ]: 95 % intervals of the paired difference that hold together on one data set, by"
            " compare's statistics.\n\n"
            + table(["data and guide", "", "test ELBO", "beyond MeanField's"], rows)
            + f"\n\n{sentences}",
        )
        return
    committed = json.loads(read_text(COMMITTED))
    others = [
        f"{d}, {g}" for d, of in numbers.items() for g, now in of.items() if moved(now, committed[d][g][: len(now)])
    ]
    sys.exit(f"no longer the committed numbers: {'; '.join(others)}" if others else 0)


if __name__ == "__main__":
    main()
