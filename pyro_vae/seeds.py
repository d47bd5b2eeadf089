"""The source of random numbers: each is a function of a seed, and the caller's generators stay unchanged."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from pyro_vae.defaults import torch_defaults

#: the streams of random numbers of a run
STREAMS = ("decoder", "encoder", "guide", "order", "binarize", "sample", "labels", "prior", "program")


def random_seed(seed: int, stream: str, epoch: int = 0, rank: int = 0) -> int:
    """The seed of one of the run's streams of random numbers, in one epoch and one of the run's processes.

    Streams are independent, so another guide changes neither the decoder's first weights nor the order of the batches,
    and a resumed run needs no state of a generator.
    """
    words = [seed, STREAMS.index(stream), epoch, *([rank] if rank else [])]
    state = np.random.SeedSequence(words).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


def batch_seed(seed: int, start: int) -> int:
    """A seed for the batch that begins at image ``start``, different from those of neighbouring seeds."""
    return (int(seed) * 1_000_003 + start) * 0x9E3779B1 % 2**63


def batches(
    count: int, size: int, seed: int = 0, progress: Callable[[int, int], object] | None = None
) -> Iterator[tuple[slice, int]]:
    """The rows of consecutive batches of images, each with a seed of its own.

    Args:
        count: how many images there are.
        size: of a batch, at most; the last may be smaller.
        seed: of all batches together.
        progress: called after each batch with the images that are done, and with ``count``.

    >>> [rows for rows, _ in batches(5, 2)]
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    for start in range(0, count, size):
        end = min(start + size, count)
        yield slice(start, end), batch_seed(seed, start)
        if progress is not None:
            progress(end, count)


@contextmanager
def forked() -> Iterator[None]:
    """Restore the caller's generators at the end, those of all CUDA devices too.

    In this context torch's default type and device are the original ones, because random numbers of another type
    differ.
    """
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices), torch_defaults():
        yield


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """In this context random numbers depend only on ``seed``; the caller's generators stay unchanged."""
    with forked():
        torch.manual_seed(seed)
        yield
