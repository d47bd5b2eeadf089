"""The searches behind ``--preset fast`` and behind the schedule of ``examples/iwae_table.py``.

    python -m benchmarks.schedule_search preset --data-root DIR [--out runs/search] --epochs 40
    python -m benchmarks.schedule_search iwae --data-root DIR [--out runs/search] --epochs 30

Which batch size, learning rate and course of both reach a validation ELBO soonest, or end highest? Test images are not
looked at. Finished run folders are not trained again.
"""

import argparse
import math
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
    """What is trained with each arm, and which arms.

    Attributes:
        goal: a validation ELBO, nats per image: the best arm reaches it soonest. Without one, the best arm ends
            highest, and it is told how soon each has the highest ELBO of the first arm.
    """

    title: str
    network: str
    options: list[str]
    arms: list[Arm]
    goal: float | None = None


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
            Arm(100, 6e-3, "one_cycle"),
            Arm(200, 6e-3, "one_cycle"),
            Arm(200, 1e-2, "one_cycle"),
            Arm(400, 8e-3, "one_cycle"),
        ],
        goal=-98.0,
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


class Found(NamedTuple):
    """What a run reached."""

    arm: Arm
    epochs: int
    elbos: list[float]  #: on validation images, after each epoch
    seconds: float  #: of the processor, for one epoch

    @classmethod
    def of(cls, arm: Arm, folder: RunFolder) -> "Found":
        elbos = validation(folder)
        return cls(arm, len(elbos), elbos, folder.read_metrics()["core_seconds"] / len(elbos))

    def epochs_to(self, goal: float) -> int | None:
        """The first epoch with this validation ELBO; None where no epoch has it."""
        return next((i + 1 for i, elbo in enumerate(self.elbos) if elbo >= goal), None)

    def seconds_to(self, goal: float) -> float:
        epochs = self.epochs_to(goal)
        return math.inf if epochs is None else epochs * self.seconds

    def in_words(self) -> str:
        return f"{self.arm.in_words()}, {self.epochs} epochs"


def section(search: Search, found: list[Found]) -> str:
    """The Markdown of all runs, the best first: the soonest at the goal, or without one the highest at the end."""
    first = found[0]
    goal = max(first.elbos) if search.goal is None else search.goal
    rows = []
    by_time = search.goal is not None
    ordered = sorted(found, key=lambda each: (each.seconds_to(goal) if by_time else 0.0, -each.elbos[-1]))
    for each in ordered:
        epochs = each.epochs_to(goal)
        cells = ["", ""] if epochs is None else [f"{epochs}", f"{each.seconds_to(goal):.0f}"]
        rows.append([each.arm.in_words(), f"{each.epochs}", f"{each.elbos[-1]:.2f}", *cells, f"{each.seconds:.1f}"])
    head = ["batch, lr, schedule", "epochs", "validation ELBO", f"epochs to {goal:.2f}", "core s to it"]
    told = table([*head, "core s an epoch"], rows)
    where = f"the highest of all epochs of {first.in_words()}" if search.goal is None else "the goal of the search"
    best = ordered[0]
    said = f"The highest is {best.in_words()}." if search.goal is None else f"The soonest is {best.in_words()}."
    return (
        f"{search.network}, one seed; the schedules run over all epochs of a run. {goal:.2f} is {where}. *core s*:"
        f" processor seconds of training, on a machine with other load.\n\n{told}\n\n{said}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("search", choices=SEARCHES)
    parser.add_argument("--data-root", type=Path, required=True, help="the folder with MNIST/raw")
    parser.add_argument("--out", type=Path, default=Path("runs/search"), help="where the run folders go")
    parser.add_argument("--epochs", type=int, nargs="+", default=[30], help="each arm is trained with each of them")
    options = parser.parse_args()
    search, found = SEARCHES[options.search], []
    for arm in search.arms:
        for epochs in options.epochs:
            more = ["--epochs", str(epochs), "--final-samples", "1"]
            folder = options.out / options.search / f"{arm.folder()}-{epochs}"
            found.append(Found.of(arm, trained(folder, options.data_root, *search.options, *arm.options(), *more)))
            print(found[-1].in_words(), f"{found[-1].elbos[-1]:.2f}", flush=True)
    words = f"{options.search} --data-root DIR --epochs {' '.join(map(str, options.epochs))}"
    body = f"`python -m benchmarks.schedule_search {words}` on {machine()}.\n\n{section(search, found)}"
    write_section("preset" if options.search == "preset" else "iwae-schedule", search.title, body)


if __name__ == "__main__":
    main()
