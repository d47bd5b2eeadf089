"""How the time of an epoch grows with the images, the latent space, the networks and the processes.

    python -m benchmarks.growth            a few minutes on two cores; the last part of `benchmarks.speed`

Whole runs of ``svi`` with the compiled step, gather, binarisation and records included; seconds are of the training
loop in the median epoch, without the first one, which compiles.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

import pyro_vae
from benchmarks.results import table
from benchmarks.row import HIDDEN, LATENT, gray_images
from pyro_vae.files import write_array, write_atomic
from pyro_vae.runs import RunFolder

BATCH, EPOCHS = 250, 4
IMAGES = [1_000, 4_000, 16_000, 60_000]
COMMON = 16_000  #: images while another size grows
LATENTS, HIDDENS = [2, 10, 50, 250], [100, 400, 1600]


def stored(count: int, folder: Path) -> Path:
    """A file whose training split has so many images, 8 of 10 in the file."""
    path = folder / f"{count}.npy"
    if not path.exists():
        gray = (gray_images(10_000)[0] * 255).to(torch.uint8).numpy()
        write_array(path, gray[np.arange(count * 10 // 8) % len(gray)])
    return path


def options(images: int, latent: int, hidden: int, batch_size: int, folder: Path) -> dict[str, Any]:
    """The options of a run."""
    network = {"hidden_dims": [hidden]}
    return {
        "data": str(stored(images, folder)),
        "likelihood": "Bernoulli",
        "encoder": {"class_path": "guides.MLPEncoder", "init_args": network},
        "decoder": {"class_path": "pyro_vae.models.MLPDecoder", "init_args": network},
        "latent_dim": latent,
        "epochs": EPOCHS,
        "batch_size": batch_size,
        "engine": "compiled",
        "final_samples": 1,
        "out": str(folder / f"run-{images}-{latent}-{hidden}-{batch_size}"),
    }


def epoch_seconds(chosen: dict[str, Any], processes: int, threads: int) -> float:
    """Seconds of training in one epoch of a run, in this process or in several of torchrun."""
    out = Path(chosen["out"])
    if processes == 1:
        pyro_vae.train(quiet=True, **chosen)
    else:
        config = out.with_suffix(".yaml")
        write_atomic(config, yaml.safe_dump({key: value for key, value in chosen.items() if key != "out"}))
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        subprocess.run(
            [*torchrun, "-m", "pyro_vae.svi", "--config", str(config), "--out", str(out)],
            env={**os.environ, "OMP_NUM_THREADS": str(max(1, threads // processes))},
            check=True,
            stdout=subprocess.DEVNULL,
        )
    trained = [row for row in RunFolder(out).read_trace() if row.split == "train"]
    return statistics.median(row.seconds - before.seconds for before, row in pairwise(trained))


def measure(threads: int) -> list[dict[str, Any]]:
    """What grows, how large it is, and the seconds of an epoch."""
    cases = [("images", count, count, LATENT, HIDDEN, 1) for count in IMAGES]
    cases += [("latent_dim", size, COMMON, size, HIDDEN, 1) for size in LATENTS]
    cases += [("hidden units", size, COMMON, LATENT, size, 1) for size in HIDDENS]
    cases += [("processes", k, COMMON, LATENT, HIDDEN, k) for k in range(1, threads + 1) if BATCH % k == 0]
    seconds: dict[tuple[int, ...], float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for what, value, images, latent, hidden, processes in cases:
            size = (images, latent, hidden, processes)
            if size not in seconds:
                chosen = options(images, latent, hidden, BATCH // processes, Path(folder))
                seconds[size] = epoch_seconds(chosen, processes, threads)
            print(f"{what} {value}: {seconds[size]:.2f} s an epoch", flush=True)
    return [
        {"what": what, "value": value, "images": size[0], "seconds": seconds[tuple(size)]}
        for what, value, *size in cases
    ]


def show(found: list[dict[str, Any]], threads: int) -> str:
    """The table in Markdown."""
    lines = []
    for row in found:
        image = 1e6 * row["seconds"] / row["images"]
        lines.append(
            [f"{row['what']} = {row['value']:,}", f"{row['images']:,}", f"{row['seconds']:.2f}", f"{image:.1f}"]
        )
    return (
        f"**How an epoch grows**: MeanField, batches of {BATCH}, latent_dim {LATENT}, one hidden layer of {HIDDEN} on"
        f" each side where nothing else is said; {threads} thread(s), shared among the processes where there are"
        " several.\n\n" + table(["what grows", "images", "seconds an epoch", "microseconds an image"], lines)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    threads = parser.parse_args().threads
    torch.set_num_threads(threads)
    print("\n" + show(measure(threads), threads))


if __name__ == "__main__":
    main()
