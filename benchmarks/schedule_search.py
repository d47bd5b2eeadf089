"""The searches behind ``--preset fast`` and behind the schedule of ``examples/iwae_table.py``.

    python -m benchmarks.schedule_search preset --data-root DIR [--out runs/search] --epochs 40
    python -m benchmarks.schedule_search iwae --data-root DIR [--out runs/search] --epochs 30

Which batch size, learning rate and course of both reach a validation ELBO soonest, or end highest? Test images are not
looked at. Finished run folders are not trained again.
"""

import argparse
import math
import statistics
from pathlib import Path
from typing import NamedTuple

from benchmarks.guides import trained
from benchmarks.results import command, machine, table, write_section
from pyro_vae.runs import RunFolder

NEAR = 1.05  #: times the soonest run's seconds count as equally soon


class Arm(NamedTuple):
    """One combination of options."""

    batch_size: int
    lr: float
    lr_schedule: str
    warmup: float = 0.0  # part of the run over which the KL weight rises from 0
    ema_decay: float = 0.0  # of the average of the weights; 0: none

    def options(self) -> list[str]:
        words = ["--batch-size", f"{self.batch_size}", "--lr", f"{self.lr}", "--lr-schedule", self.lr_schedule]
        words += ["--beta", "Linear", "--beta.warmup", f"{self.warmup}"] if self.warmup else []
        return [*words, "--ema-decay", f"{self.ema_decay}"] if self.ema_decay else words

    def in_words(self) -> str:
        rising = f", KL rises over {self.warmup:g}" if self.warmup else ""
        averaged = f", EMA of {self.ema_decay:g}" if self.ema_decay else ""
        return f"{self.batch_size}, {self.lr:g}, {self.lr_schedule}{averaged}{rising}"

    def folder(self) -> str:
        more = f"-ema{self.ema_decay:g}" * bool(self.ema_decay) + f"-kl{self.warmup:g}" * bool(self.warmup)
        return f"batch{self.batch_size}-lr{self.lr:g}-{self.lr_schedule}{more}"


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
            Arm(200, 3e-3, "constant", ema_decay=0.999),
            Arm(200, 4e-3, "constant", ema_decay=0.9995),
            Arm(400, 5e-3, "constant", ema_decay=0.999),
            Arm(200, 6e-3, "one_cycle", ema_decay=0.998),
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
    seconds: float  #: of the processor, for one epoch of this run

    @classmethod
    def of(cls, arm: Arm, folder: RunFolder) -> "Found":
        elbos = validation(folder)
        return cls(arm, len(elbos), elbos, folder.read_metrics()["core_seconds"] / len(elbos))

    def epochs_to(self, goal: float) -> int | None:
        """The first epoch with this validation ELBO; None where no epoch has it."""
        return next((i + 1 for i, elbo in enumerate(self.elbos) if elbo >= goal), None)

    def in_words(self) -> str:
        return f"{self.arm.in_words()}, {self.epochs} epochs"


def seconds_of_epochs(found: list[Found]) -> dict[int, float]:
    """Processor seconds of an epoch by the batch size, the median of its runs: their steps are the same work.

    The average of the weights is not counted: 0.32 ms of a step of 9 to 11 ms, less than the machine's other load adds.
    """
    sizes = {each.arm.batch_size for each in found}
    return {size: statistics.median(each.seconds for each in found if each.arm.batch_size == size) for size in sizes}


def section(search: Search, found: list[Found]) -> str:
    """The Markdown of all runs, the best first: the soonest at the goal, or without one the highest at the end."""
    first = found[0]
    goal = max(first.elbos) if search.goal is None else search.goal
    rows, costs = [], seconds_of_epochs(found)

    def seconds_to_it(each: Found) -> float:
        return (each.epochs_to(goal) or math.inf) * costs[each.arm.batch_size]

    by_time = search.goal is not None
    ordered = sorted(found, key=lambda each: (seconds_to_it(each) if by_time else 0.0, -each.elbos[-1]))
    for each in ordered:
        epochs, cost = each.epochs_to(goal), f"{costs[each.arm.batch_size]:.1f}"
        cells = ["", ""] if epochs is None else [f"{epochs}", f"{seconds_to_it(each):.0f}"]
        rows.append([each.arm.in_words(), f"{each.epochs}", f"{each.elbos[-1]:.2f}", *cells, cost])
    head = ["batch, lr, schedule", "epochs", "validation ELBO", f"epochs to {goal:.2f}", "core s to it"]
    told = table([*head, "core s an epoch"], rows)
    where = f"the highest of all epochs of {first.in_words()}" if search.goal is None else "the goal of the search"
    best = ordered[0]
    said = f"The {'soonest' if by_time else 'highest'} is {best.in_words()}."
    if by_time and best.epochs_to(goal) is None:
        said = "No run reaches the goal."
    elif by_time:
        near = [each for each in ordered if seconds_to_it(each) <= NEAR * seconds_to_it(best)]
        highest = max(near, key=lambda each: each.elbos[-1])
        if highest is not best:
            said += f" Of those within {NEAR - 1:.0%} of its seconds, {highest.in_words()} ends highest."
    return (
        f"{search.network}, one seed; the schedules run over all epochs of a run. {goal:.2f} is {where}. *core s*:"
        " processor seconds of training, on a machine with other load; those of an epoch are the median of all runs"
        " with the same batch size; what an average of the weights costs is not counted."
        f"\n\n{told}\n\n{said}"
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
    body = f"`{command('schedule_search', parser, options, 'search')}` on {machine()}.\n\n{section(search, found)}"
    write_section("preset" if options.search == "preset" else "iwae-schedule", search.title, body)


if __name__ == "__main__":
    main()
