"""Images on the host, sent to a CUDA device batch by batch: each while the device trains on the one before.

Two buffers on each side take turns. A thread gathers the next batch from disk or memory into page-locked memory; a
second stream copies it to the device; training waits for neither. Only the training thread calls CUDA, so that a graph
may be recorded meanwhile.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Lane(Protocol):
    """The transfer of batches to the device, over two pairs of buffers, numbered 0 and 1."""

    #: the buffers for gathering on the host, ``(2, size, ...)``
    staged: Tensor

    def send(self, which: int, count: int) -> None:
        """Start to copy the first images of a staging buffer to the device."""

    def receive(self, which: int, count: int) -> Tensor:
        """The images on the device, for work launched after this call."""

    def release(self, which: int) -> None:
        """All work on the received images is launched: later copies may replace them."""

    def wait(self, which: int) -> None:
        """Return when a staging buffer may be written again."""


class CudaLane:
    """Page-locked staging buffers, and copies on a second stream beside the training stream.

    Args:
        device: the CUDA device.
        shape: of the largest batch, with its images first.
        dtype: of the images as they are stored.
    """

    def __init__(self, device: torch.device, shape: Sequence[int], dtype: torch.dtype):
        self.device = device
        self.staged = torch.empty(2, *shape, dtype=dtype, pin_memory=True)
        self.arrived = torch.empty(2, *shape, dtype=dtype, device=device)
        self.side = torch.cuda.Stream(device)
        self.sent, self.used = ([torch.cuda.Event(), torch.cuda.Event()] for _ in range(2))
        # The allocator must know the second stream: before the first copy, and when the buffers are freed.
        self.side.wait_stream(torch.cuda.current_stream(device))
        self.arrived.record_stream(self.side)

    def send(self, which: int, count: int) -> None:
        with torch.cuda.stream(self.side):
            self.side.wait_event(self.used[which])
            self.arrived[which, :count].copy_(self.staged[which, :count], non_blocking=True)
            self.sent[which].record(self.side)

    def receive(self, which: int, count: int) -> Tensor:
        torch.cuda.current_stream(self.device).wait_event(self.sent[which])
        return self.arrived[which, :count]

    def release(self, which: int) -> None:
        self.used[which].record(torch.cuda.current_stream(self.device))

    def wait(self, which: int) -> None:
        self.sent[which].synchronize()


def prefetched(pixels: np.ndarray, order: Sequence[np.ndarray], lane: Lane) -> Iterator[Tensor]:
    """The images at each set of rows in turn, as they are stored.

    Each batch is valid until the next one is requested.
    """

    def gather(rows: np.ndarray, which: int) -> None:
        lane.staged[which, : len(rows)].numpy()[...] = pixels[rows]

    with ThreadPoolExecutor(1, "gather") as thread:
        coming = thread.submit(gather, order[0], 0)
        for i, rows in enumerate(order):
            this, other = i % 2, (i + 1) % 2
            coming.result()
            lane.send(this, len(rows))
            if i + 1 < len(order):
                lane.wait(other)
                coming = thread.submit(gather, order[i + 1], other)
            yield lane.receive(this, len(rows))
            lane.release(this)
