"""The whole job of :mod:`benchmarks.end_to_end`, as each library's own example does it; its clock and its images.

AEVB's network on MNIST: 784-500-20 and 20-500-784, tanh, Bernoulli, Adam at 1e-3, batches of 100, each binarised
afresh; the test ELBO with one sample of z after each epoch, and with 100 samples at the end.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

PIXELS, HIDDEN, LATENT, BATCH, LR, SAMPLES = 784, 500, 20, 100, 1e-3, 100
BEGAN = "PYRO_VAE_JOB_BEGAN"  #: the environment's variable with the time of the clock at the start of the process
PROCESSOR = "PYRO_VAE_JOB_PROCESSOR"  #: where it is set, all seconds are those of the processor


class Job:
    """What a process tells of its work: the time in each part, the test ELBOs with their moments, the last one."""

    def __init__(self) -> None:
        self.began = float(os.environ.get(BEGAN, time.time()))
        self.parts: dict[str, float] = {}
        self.elbos: list[tuple[float, float]] = []
        self.clock = time.process_time if PROCESSOR in os.environ else time.time
        self.began = 0.0 if PROCESSOR in os.environ else self.began
        self.inner = 0.0  # the seconds of parts within the present one

    def seconds(self) -> float:
        """Since the start of the process."""
        return self.clock() - self.began

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """The time in this context counts as this part; that of a part within it does not."""
        outer, self.inner, start = self.inner, 0.0, self.clock()
        try:
            yield
        finally:
            took = self.clock() - start
            self.parts[name] = self.parts.get(name, 0.0) + took - self.inner
            self.inner = outer + took

    def epoch(self, test_elbo: float) -> None:
        """One more epoch is done."""
        self.elbos.append((self.seconds(), test_elbo))

    def finish(self, test_elbo: float, **more: Any) -> None:
        """Print what was found, as the last line."""
        print(json.dumps({"test_elbo": test_elbo, "elbos": self.elbos, "parts": self.parts, **more}), flush=True)


def gray_images() -> tuple[np.ndarray, np.ndarray]:
    """MNIST's first 55,000 training images and its test images, ``(N, 784)`` float32 in [0, 1]."""
    folder = Path(os.environ["PYRO_VAE_DATA"]) / "MNIST" / "raw"
    found = []
    for name in ("train", "t10k"):
        stored = np.fromfile(folder / f"{name}-images-idx3-ubyte", np.uint8, offset=16).reshape(-1, PIXELS)
        found.append(stored.astype(np.float32) / 255)
    return found[0][:55_000], found[1]
