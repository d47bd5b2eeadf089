"""What the uses of a run share: the run of a folder, its rows, and work on them batch by batch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def by_batches(run: Run, source: Source, work: Callable[[Tensor, int], Tensor], seed: int, size: int = BATCH) -> Any:
    """:func:`~pyro_vae.encoding.in_batches` on the device of the run's weights."""
    device = next(run.guide.parameters()).device
    return in_batches(source, device, lambda images, of_batch: work(images, of_batch % 2**31), size, seed)
