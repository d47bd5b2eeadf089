"""The search behind ``--preset fast``: which options reach a high validation ELBO in few epochs.

    python -m benchmarks.preset_search --data-root DIR [--out runs/preset] [--epochs 8] [--precision fp32]

AEVB's network on MNIST. The choice is by the validation ELBO; test images are not looked at. Finished run folders are
not trained again.
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

    def options(self) -> list[str]:
        return ["--batch-size", f"{self.batch_size}", "--lr", f"{self.lr}", "--lr-schedule", self.lr_schedule]

    def folder(self) -> str:
        return f"batch{self.batch_size}-lr{self.lr:g}-{self.lr_schedule}"


ARMS = [
    Arm(100, 1e-3, "constant"),
    Arm(100, 2e-3, "cosine"),
    Arm(100, 4e-3, "one_cycle"),
    Arm(200, 4e-3, "one_cycle"),
    Arm(200, 8e-3, "one_cycle"),
    Arm(400, 8e-3, "one_cycle"),
    Arm(200, 4e-3, "cosine"),
]


def validation(folder: RunFolder) -> list[float]:
    """The validation ELBO after each epoch, nats per image."""
    return [row.elbo for row in folder.read_trace() if row.split == "validation"]


def section(found: dict[Arm, RunFolder], epochs: int) -> str:
    """The Markdown of all arms, the best first."""
    rows = []
    for arm, folder in sorted(found.items(), key=lambda each: -validation(each[1])[-1]):
        elbos, seconds = validation(folder), folder.read_metrics()["core_seconds"]
        first = next((i + 1 for i, elbo in enumerate(elbos) if elbo >= max(validation(found[ARMS[0]]))), None)
        cells = [f"{elbos[-1]:.2f}", f"{elbos[epochs // 2 - 1]:.2f}", "" if first is None else f"{first}"]
        rows.append([f"{arm.batch_size}, {arm.lr:g}, {arm.lr_schedule}", *cells, f"{seconds / epochs:.1f}"])
    head = [
        "batch, lr, schedule",
        "validation ELBO",
        f"after {epochs // 2} epochs",
        "reaches the default's in",
        "core s",
    ]
    best = max(found, key=lambda arm: validation(found[arm])[-1])
    return (
        f"AEVB's network on MNIST, {epochs} epochs, one seed; the schedules run over these epochs. *reaches the"
        " default's in*: the first epoch with the highest validation ELBO of the defaults' epochs (batches of 100, Adam"
        " at 1e-3, constant). *core s*: processor seconds of an epoch's steps, on a machine with other load.\n\n"
        + table(head, rows)
        + f"\n\nThe highest is {best.batch_size}, {best.lr:g}, {best.lr_schedule}; the median of all is"
        f" {statistics.median(validation(f)[-1] for f in found.values()):.2f}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="the folder with MNIST/raw")
    parser.add_argument("--out", type=Path, default=Path("runs/preset"), help="where the run folders go")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--arms", type=int, default=len(ARMS), help="only the first so many")
    options = parser.parse_args()
    found = {}
    for arm in ARMS[: options.arms]:
        more = ["--epochs", str(options.epochs), "--precision", options.precision, "--final-samples", "1"]
        found[arm] = trained(options.out / arm.folder(), options.data_root, *arm.options(), *more)
        print(arm, f"{validation(found[arm])[-1]:.2f}", flush=True)
    words = f"--data-root DIR --epochs {options.epochs} --precision {options.precision}"
    words += f" --arms {options.arms}" if options.arms < len(ARMS) else ""
    body = f"`python -m benchmarks.preset_search {words}` on {machine()}.\n\n{section(found, options.epochs)}"
    write_section("preset", "The search behind --preset fast", body)


if __name__ == "__main__":
    main()
