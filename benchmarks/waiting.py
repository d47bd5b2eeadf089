"""Training beside another busy process, with PyTorch's own waiting and with this package's (pyro_vae/waiting.py).

    python -m benchmarks.waiting [--epochs 40] [--rounds 3]

Whole runs on the digits and two epochs' worth of MNIST-sized images (synthetic ones), eager, as a new process each, in
turn: on the machine as it is, and while a process that only counts is kept on the last of its processors. A run that
takes more than a minute is stopped there.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from benchmarks.results import command, machine, table, write_section
from pyro_vae.runs import RunFolder

LIMIT = 60.0
#: the arms: what the environment of a run says
ARMS: dict[str, dict[str, str]] = {
    "PyTorch's own": {"GOMP_SPINCOUNT": "300000"},
    "always asleep soon": {"GOMP_SPINCOUNT": "1000"},
    "this package's": {},
}


@contextmanager
def busy(on: bool) -> Iterator[None]:
    """In this context a process keeps the last processor busy, if asked."""
    if not on:
        yield
        return
    last = max(os.sched_getaffinity(0))
    counting = f"import os\nos.sched_setaffinity(0, [{last}])\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", counting])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def seconds(chosen: dict[str, str], words: list[str]) -> float:
    """The seconds of training of one run; those of a run that was stopped are more."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        run = [sys.executable, "-m", "pyro_vae.svi", *words, "--engine", "eager", "--final-samples", "2"]
        with suppress(subprocess.TimeoutExpired):
            environment = {key: value for key, value in os.environ.items() if key != "GOMP_SPINCOUNT"} | chosen
            subprocess.run([*run, "--out", str(out)], env=environment, check=True, capture_output=True, timeout=LIMIT)
            return RunFolder(out).read_trace()[-1].seconds
    return float("inf")


def shown(found: list[float]) -> str:
    middle = statistics.median(found)
    return f"{middle:.1f}" if middle < LIMIT else f"more than {LIMIT:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=40, help="of the run on the digits")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images.npy"
        np.save(images, (np.random.default_rng(0).random((20_000, 28, 28)) ** 4 * 255).astype(np.uint8))
        jobs = {
            f"digits, {options.epochs} epochs": ["--epochs", str(options.epochs)],
            "20,000 images of 28 x 28, 2 epochs": ["--data", str(images), "--epochs", "2"],
        }
        for job, words in jobs.items():
            for loaded in (False, True):
                found: dict[str, list[float]] = {arm: [] for arm in ARMS}
                for _ in range(options.rounds):
                    for arm, chosen in ARMS.items():
                        with busy(loaded):
                            found[arm].append(seconds(chosen, words))
                where = "one processor busy" if loaded else "quiet"
                rows.append([f"{job}, {where}", *map(shown, found.values())])
                print(" | ".join(rows[-1]), flush=True)
    write_section(
        "waiting",
        "Training beside another busy process",
        f"`{command('waiting', parser, options)}` on {machine()}.\n\n"
        "Seconds of training, the median of the rounds. `pyro_vae/waiting.py` says what differs and why.\n\n"
        + table(["run", *ARMS], rows),
    )


if __name__ == "__main__":
    main()
