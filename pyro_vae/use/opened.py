"""What the uses of a run share: the run of a folder, its rows, and work on them batch by batch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyro_vae.encoding import Source, in_batches, read_images
from pyro_vae.errors import InputError
from pyro_vae.runs import Run, load

BATCH = 250  #: images at once


def opened(run: Run | Path | str, x: Any, num_samples: int, trust: bool) -> tuple[Run, Source]:
    """The run, and images for it.

    Args:
        x: what :func:`pyro_vae.features` takes, or the source of :class:`~pyro_vae.use.rows.Rows`.

    Raises:
        InputError: where there is no such run, or the images do not fit it, or ``num_samples`` is not positive.
    """
    run = load(run, trust=trust) if isinstance(run, Path | str) else run
    if num_samples < 1:
        raise InputError(f"num_samples must be positive, not {num_samples}")
    return run, read_images(x, run)


def device_of(run: Run) -> torch.device:
    """Where a run's weights are; a program's may all be of its model."""
    return next(iter((*run.guide.parameters(), *run.model.parameters())), torch.empty(0)).device


def by_batches(run: Run, source: Source, work: Callable[[Tensor, int], Tensor], seed: int, size: int = BATCH) -> Any:
    """:func:`~pyro_vae.encoding.in_batches` on the device of the run's weights."""
    return in_batches(source, device_of(run), lambda images, of_batch: work(images, of_batch % 2**31), size, seed)
