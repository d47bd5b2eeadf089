"""How the time of an epoch grows with the images, the latent space, the networks and the processes.

    python -m benchmarks.growth            a few minutes on two cores; `benchmarks.speed` has it as its last part

Whole runs of ``svi`` with the compiled step, gather, binarisation and records included; seconds are those of the
training loop in the median epoch, without the first one, which compiles.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.results import table
from benchmarks.rows import HIDDEN, LATENT, gray_images
from pyro_vae.runs import RunFolder

BATCH, EPOCHS = 250, 4
IMAGES = [1_000, 4_000, 16_000, 60_000]
COMMON = 16_000  #: images where something else grows
SIZES: dict[str, list[int]] = {"latent_dim": [2, 10, 50, 250], "hidden units": [100, 400, 1600]}


def stored(count: int, folder: Path) -> Path:
    """A file whose training split has so many images: 8 of 10."""
    path = folder / f"{count}.npy"
    if not path.exists():
        gray = (gray_images(10_000)[0] * 255).to(torch.uint8).numpy()
        np.save(path, gray[np.arange(count * 10 // 8) % len(gray)])
    return path


def epoch_seconds(
    folder: Path, images: int, threads: int, latent: int = LATENT, hidden: int = HIDDEN, processes: int = 1
) -> float:
    """Seconds of one epoch's training, by a run of its own."""
    out = folder / f"run-{images}-{latent}-{hidden}-{processes}"
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    network = [f"--{side}.{option}" for side in ("encoder", "decoder") for option in (f"hidden_dims=[{hidden}]",)]
    options = {
        "data": stored(images, folder),
        "likelihood": "Bernoulli",
        "latent-dim": latent,
        "epochs": EPOCHS,
        "batch-size": BATCH // processes,
        "engine": "compiled",
        "final-samples": 1,
        "out": out,
    }
    subprocess.run(
        [sys.executable, *launch, "-m", "pyro_vae.svi", *network, *(f"--{key}={value}" for key, value in options.items())],
        env={**os.environ, "OMP_NUM_THREADS": str(max(1, threads // processes))},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    trained = [row for row in RunFolder(out).read_trace() if row.split == "train"]
    return statistics.median(images / row.images_per_second for row in trained[1:])


def measure(threads: int) -> list[dict[str, Any]]:
    """What grows, how large it is, and the seconds of an epoch."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def add(what: str, value: int, images: int = COMMON, **options: int) -> None:
            seconds = epoch_seconds(folder, images, threads, **options)
            found.append({"what": what, "value": value, "images": images, "seconds": seconds})
            print(f"{what} {value}: {seconds:.2f} s an epoch", flush=True)

        for images in IMAGES:
            add("images", images, images)
        for latent in SIZES["latent_dim"]:
            add("latent_dim", latent, latent=latent)
        for hidden in SIZES["hidden units"]:
            add("hidden units", hidden, hidden=hidden)
        for processes in range(1, threads + 1):
            if BATCH % processes == 0:
                add("processes", processes, processes=processes)
    return found


def show(found: list[dict[str, Any]], threads: int) -> str:
    """The table in Markdown."""
    lines = [
        [f"{row['what']} = {row['value']:,}", f"{row['images']:,}", f"{row['seconds']:.2f}"]
        + [f"{1e6 * row['seconds'] / row['images']:.1f}"]
        for row in found
    ]
    return (
        f"**How an epoch grows**: MeanField, batches of {BATCH}, latent_dim {LATENT}, one hidden layer of {HIDDEN} on"
        f" each side where nothing else is said; {threads} thread(s), shared among the processes where there are"
        " several.\n\n" + table(["what grows", "images", "seconds an epoch", "microseconds an image"], lines)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    threads = parser.parse_args().threads
    print("\n" + show(measure(threads), threads))


if __name__ == "__main__":
    main()
