"""Where random numbers come from: every one is a function of a seed, and the caller's generators stay as they were."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from pyro_vae.defaults import torch_defaults

#: what a run draws random numbers for
STREAMS = ("decoder", "encoder", "guide", "order", "binarize", "sample", "labels", "prior")


def random_seed(seed: int, stream: str, epoch: int = 0, rank: int = 0) -> int:
    """The seed of one of the run's streams of random numbers, in one epoch and one of the run's processes.

    Streams are independent, so that another guide changes neither the decoder's first weights nor the order of the
    batches; and a resumed run needs no state of any generator.
    """
    words = [seed, STREAMS.index(stream), epoch, *([rank] if rank else [])]
    state = np.random.SeedSequence(words).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


def batch_seed(seed: int, start: int) -> int:
    """A seed for the batch that begins at image ``start``, unlike those of the neighbouring seeds."""
    return (int(seed) * 1_000_003 + start) * 0x9E3779B1 % 2**63


@contextmanager
def forked() -> Iterator[None]:
    """The caller's generators, those of all CUDA devices too, are left where they were, whatever is seeded within.

    torch's default type and device are its own within: random numbers of another type are other numbers.
    """
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices), torch_defaults():
        yield


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers that depend on ``seed`` alone; the caller's generators are left where they were."""
    with forked():
        torch.manual_seed(seed)
        yield
