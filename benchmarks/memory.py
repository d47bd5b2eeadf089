"""The peak memory of some work, beyond the memory of the process before it."""

import ctypes
import resource
from pathlib import Path

import torch

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def _size(name: str) -> float:
    """A size in Linux's status of this process, MiB."""
    sizes = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(sizes[name].split()[0]) / 1024


def _own(name: str) -> float:
    """The same without memory mapped from files (libraries' code)."""
    return _size(name) - _size("RssFile")


def peak() -> float:
    """The largest resident memory of this process so far, MiB.

    On Linux it is that of its own code: ``ru_maxrss`` begins with the parent's memory at the fork.
    """
    return _size("VmHWM") if STATUS.exists() else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _give_back() -> None:
    """Return freed memory to the system, so that it does not count as used."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class Watch:
    """The peak of some work: ``watch = Watch(device)``, preparations, ``watch.begin()``, work, ``watch.mib()``.

    On a CPU it is the peak of the resident memory since :meth:`begin` above that at creation, without libraries' code:
    memory that the preparations keep counts, memory that they free does not. On CUDA it is the peak of torch's
    allocations since creation, preparations included, because a graph takes its memory when it is recorded, not when it
    is replayed.
    """

    def __init__(self, device: str):
        self.cuda = device.startswith("cuda")
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_allocated() / 2**20
        elif STATUS.exists():
            _give_back()
            self.before = _own("VmRSS")

    def begin(self) -> None:
        """Start to record the peak."""
        if not self.cuda and RESET.exists():
            _give_back()
            RESET.write_text("5")  # proc(5): reset the peak to the present size

    def mib(self) -> float | None:
        """MiB; None if it is unknown: without Linux's status, or for JAX on a GPU."""
        if self.cuda:
            return torch.cuda.max_memory_allocated() / 2**20 - self.before or None
        return _own("VmHWM") - self.before if RESET.exists() else None
