"""What an epoch's bookkeeping costs: the same at epoch 3,000 as at epoch 10.

    python -m benchmarks.bookkeeping

A run of small images is trained; the processor time of everything after the last step of an epoch (held-out ELBOs, the
rows of trace.csv, metrics.json, checkpoints, the line on the screen) is measured without pictures, whose part of the
time is bounded by itself.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch

import pyro_vae
from pyro_vae.training.log import Log
from pyro_vae.training.recorder import Recorder


def costs(epochs: int, folder: Path) -> list[float]:
    """Milliseconds of processor time of the bookkeeping of each epoch."""
    spent: list[float] = []
    whole = Recorder.after_epoch

    def timed(self, *given):
        began = time.process_time()
        state = whole(self, *given)
        spent.append(1000 * (time.process_time() - began))
        return state

    Recorder.after_epoch = timed  # type: ignore[method-assign]
    Log.pictures = lambda *_: None  # type: ignore[method-assign]
    np.save(folder / "x.npy", np.random.default_rng(0).random((60, 4, 4), np.float32))
    size = {"class_path": "MLPEncoder", "init_args": {"hidden_dims": [8]}}
    pyro_vae.train(
        data=str(folder / "x.npy"), encoder=size, latent_dim=2, epochs=epochs, out=folder / "run", engine="eager",
        device="cpu", final_samples=2,
    )  # fmt: skip
    return spent


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=3000)
    torch.set_num_threads(1)
    epochs = parser.parse_args().epochs
    with tempfile.TemporaryDirectory() as folder:
        spent = costs(epochs, Path(folder))
    early, late = median(spent[10:60]), median(spent[-50:])
    print(f"median of 50 epochs: {early:.1f} ms from epoch 10 on, {late:.1f} ms at the end of {epochs} epochs")
    print(f"ratio: {late / early:.2f}")


if __name__ == "__main__":
    main()
