"""The searches behind ``--preset fast`` and behind the schedule of ``examples/iwae_table.py``.

    python -m benchmarks.schedule_search preset --data-root DIR [--out runs/search] [--epochs 8]
    python -m benchmarks.schedule_search iwae --data-root DIR [--out runs/search] [--epochs 30]

Which batch size, learning rate and course of both reach a high validation ELBO in so many epochs? The choice is by the
validation ELBO; test images are not looked at. Finished run folders are not trained again.
"""

import argparse
import statistics
from pathlib import Path
from typing import NamedTuple

from benchmarks.guides import trained
from benchmarks.results import machine, table, write_section
from pyro_vae.runs import RunFolder


class Arm(NamedTuple):
    """One combination of options."""

    batch_size: int
    lr: float
    lr_schedule: str
    warmup: float = 0.0  # part of the run over which the KL weight rises from 0

    def options(self) -> list[str]:
        words = ["--batch-size", f"{self.batch_size}", "--lr", f"{self.lr}", "--lr-schedule", self.lr_schedule]
        return [*words, "--beta", "Linear", "--beta.warmup", f"{self.warmup}"] if self.warmup else words

    def in_words(self) -> str:
        rising = f", KL rises over {self.warmup:g}" if self.warmup else ""
        return f"{self.batch_size}, {self.lr:g}, {self.lr_schedule}{rising}"

    def folder(self) -> str:
        return f"batch{self.batch_size}-lr{self.lr:g}-{self.lr_schedule}" + (f"-kl{self.warmup:g}" * bool(self.warmup))


class Search(NamedTuple):
    """What is trained with each arm, and which arms; the first one is what the others are compared with."""

    title: str
    network: str
    options: list[str]
    arms: list[Arm]


SIDES = ("encoder", "decoder")
IWAE = ["--latent-dim", "50", "--likelihood", "Bernoulli", "--objective", "TraceMeanField_ELBO"]
IWAE += [word for side in SIDES for word in (f"--{side}.hidden_dims", "[200,200]", f"--{side}.activation", "tanh")]
SEARCHES = {
    "preset": Search(
        "The search behind --preset fast",
        "AEVB's network on MNIST",
        [],
        [
            Arm(100, 1e-3, "constant"),
            Arm(100, 2e-3, "cosine"),
            Arm(100, 4e-3, "one_cycle"),
            Arm(200, 4e-3, "one_cycle"),
            Arm(200, 8e-3, "one_cycle"),
            Arm(400, 8e-3, "one_cycle"),
            Arm(200, 4e-3, "cosine"),
        ],
    ),
    "iwae": Search(
        "The search behind the schedule of IWAE's table",
        "The network of Burda et al. 2015 with one stochastic layer on MNIST, TraceMeanField_ELBO",
        IWAE,
        [
            Arm(50, 1.5e-3, "cosine"),
            Arm(100, 4e-3, "one_cycle"),
            Arm(100, 2e-3, "one_cycle"),
            Arm(50, 3e-3, "one_cycle"),
            Arm(200, 6e-3, "one_cycle"),
            Arm(100, 4e-3, "one_cycle", 0.2),
        ],
    ),
}


def validation(folder: RunFolder) -> list[float]:
    """The validation ELBO after each epoch, nats per image."""
    return [row.elbo for row in folder.read_trace() if row.split == "validation"]


def section(search: Search, found: dict[Arm, RunFolder], epochs: int) -> str:
    """The Markdown of all arms, the best first."""
    rows, first_arm = [], search.arms[0]
    for arm, folder in sorted(found.items(), key=lambda each: -validation(each[1])[-1]):
        elbos, seconds = validation(folder), folder.read_metrics()["core_seconds"]
        first = next((i + 1 for i, elbo in enumerate(elbos) if elbo >= max(validation(found[first_arm]))), None)
        cells = [f"{elbos[-1]:.2f}", f"{elbos[epochs // 2 - 1]:.2f}", "" if first is None else f"{first}"]
        rows.append([arm.in_words(), *cells, f"{seconds / epochs:.1f}"])
    head = [
        "batch, lr, schedule",
        "validation ELBO",
        f"after {epochs // 2} epochs",
        "reaches the first's in",
        "core s",
    ]
    best = max(found, key=lambda arm: validation(found[arm])[-1])
    return (
        f"{search.network}, {epochs} epochs, one seed; the schedules run over these epochs. *reaches the first's in*:"
        f" the first epoch with the highest validation ELBO of all epochs of {first_arm.in_words()}. *core s*:"
        " processor seconds of an epoch's steps, on a machine with other load.\n\n"
        + table(head, rows)
        + f"\n\nThe highest is {best.in_words()}; the median of all is"
        f" {statistics.median(validation(f)[-1] for f in found.values()):.2f}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("search", choices=SEARCHES)
    parser.add_argument("--data-root", type=Path, required=True, help="the folder with MNIST/raw")
    parser.add_argument("--out", type=Path, default=Path("runs/search"), help="where the run folders go")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--arms", type=int, help="only the first so many")
    options = parser.parse_args()
    search, found = SEARCHES[options.search], {}
    for arm in search.arms[: options.arms]:
        more = ["--epochs", str(options.epochs), "--final-samples", "1"]
        folder = options.out / options.search / arm.folder()
        found[arm] = trained(folder, options.data_root, *search.options, *arm.options(), *more)
        print(arm.in_words(), f"{validation(found[arm])[-1]:.2f}", flush=True)
    words = f"{options.search} --data-root DIR --epochs {options.epochs}"
    words += f" --arms {options.arms}" if options.arms else ""
    body = f"`python -m benchmarks.schedule_search {words}` on {machine()}.\n\n{section(search, found, options.epochs)}"
    write_section("preset" if options.search == "preset" else "iwae-schedule", search.title, body)


if __name__ == "__main__":
    main()
