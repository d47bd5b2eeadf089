"""PyTorch's threads wait for each other awake on a quiet machine, and asleep while others need its processors.

PyTorch shares out each operation over threads, which wait for each other at its end. GNU's OpenMP, in PyTorch's wheels
for Linux, lets them wait awake for about a millisecond, so that the next operation begins at once. If another process
uses one of two processors, the thread that waits awake holds the other one. The last thread then takes turns with that
process, and each operation takes as long as a turn: small runs were 5 to 100 times slower. OpenMP lets its threads
sleep almost at once while it has more of them than there are processors (its manual, GOMP_SPINCOUNT). So while other
processes need the processors, some threads that do nothing are kept beside PyTorch's.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

STAT = Path("/proc/stat")  #: where Linux counts what its processors have done
SECONDS = 0.5  #: between two looks at it
NEEDED = 0.25  #: processors that others must use, beyond those that PyTorch's threads leave them
GRAIN = 32768  #: PyTorch gives a thread at least so many numbers of an operation


@contextmanager
def considerate() -> Iterator[None]:
    """In this context, PyTorch's threads sleep soon while other processes need the processors; on Linux.

    A user who has set ``GOMP_SPINCOUNT`` or ``OMP_WAIT_POLICY`` keeps that choice.
    """
    chosen = "GOMP_SPINCOUNT" in os.environ or "OMP_WAIT_POLICY" in os.environ
    if chosen or torch.get_num_threads() == 1 or not STAT.exists():
        yield
        return
    ended = threading.Event()
    watching = threading.Thread(target=_watch, args=(ended,), daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()


def _watch(ended: threading.Event) -> None:
    """Keep more threads while the others need the processors."""
    with ExitStack() as kept:
        asleep, used, then = False, used_by_others(), time.monotonic()
        while not ended.wait(SECONDS):
            before, began = used, then
            used, then = used_by_others(), time.monotonic()
            left = len(os.sched_getaffinity(0)) - torch.get_num_threads()
            needed = (used - before) / (then - began) > left + NEEDED
            if needed and not asleep:
                kept.enter_context(more_threads())
            elif not needed:
                kept.close()
            asleep = needed


def used_by_others() -> float:
    """Seconds that this process's processors have worked for other processes, since some time in the past."""
    own, ticks = {f"cpu{i}" for i in os.sched_getaffinity(0)}, 0
    for line in STAT.read_text().splitlines():
        name, *counts = line.split()
        if name in own:
            user, nice, system, _, _, interrupts, soft_interrupts, *_ = map(int, counts)
            ticks += user + nice + system + interrupts + soft_interrupts
    return ticks / os.sysconf("SC_CLK_TCK") - time.process_time()


@contextmanager
def more_threads() -> Iterator[None]:
    """In this context, OpenMP has more threads than there are processors."""
    threads, ended = torch.get_num_threads(), threading.Event()

    def idle() -> None:
        torch.zeros(threads * GRAIN).add_(1.0)  # OpenMP makes the threads of this operation, and keeps them
        ended.wait()

    count = max(0, len(os.sched_getaffinity(0)) - threads) // (threads - 1) + 1
    kept = [threading.Thread(target=idle, daemon=True) for _ in range(count)]
    for thread in kept:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in kept:
            thread.join()
