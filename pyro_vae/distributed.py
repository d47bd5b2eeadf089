"""Several processes that train one run: data parallelism under torchrun.

    torchrun --nproc-per-node=4 -m pyro_vae.svi --batch-size 64     # steps of 4 x 64 images

Each process has the whole model and its own part of every minibatch; gradients are averaged over all images before the
optimizer's step, which is then the same everywhere. No other module asks the environment for other processes.
"""

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar
from warnings import catch_warnings, simplefilter

import torch
import torch.distributed as dist
from torch import Tensor

from pyro_vae.errors import InputError

T = TypeVar("T")

# No timeout while the main process evaluates: torchrun ends all processes when one dies.
PATIENCE = timedelta(days=7)


@dataclass(frozen=True)
class Workers:
    """The processes of a run, seen from one of them; by default there is only this one.

    Attributes:
        rank: the number of this process. Only the main process, number 0, writes and prints.
        size: the number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def main(self) -> bool:
        return self.rank == 0

    @property
    def command(self) -> str:
        """The words before ``-m`` that start so many processes."""
        return "python" if self.size == 1 else f"torchrun --nproc-per-node={self.size}"

    def device(self, wanted: torch.device) -> torch.device:
        """The device of this process: with CUDA, each process of a machine has its own.

        Raises:
            InputError: if the machine has too few, or the option names a device by its number.
        """
        if self.size == 1 or wanted.type == "cpu":
            return wanted
        own, there = int(os.environ.get("LOCAL_RANK", self.rank)), torch.cuda.device_count()
        if wanted.type != "cuda" or wanted.index is not None:
            raise InputError(f"--device {wanted} is one device for {self.size} processes: use --device cuda or cpu")
        if own >= there:
            raise InputError(f"{self.size} processes need a CUDA device each, and there are {there}; or --device cpu")
        return torch.device("cuda", own)

    def part(self, minibatch: Tensor) -> tuple[Tensor, float]:
        """This process's rows of a minibatch, and their share of it.

        The numbers of rows differ by at most one between processes. With fewer rows than processes, a process without
        rows takes the first row with weight zero, so that every process takes the same steps.
        """
        own = minibatch[self.rank :: self.size]
        return (own, len(own) / len(minibatch)) if len(own) else (minibatch[:1], 0.0)

    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The sum of each tensor over the processes, by one message; bitwise the same in all of them."""
        if self.size == 1:
            return list(tensors)
        together = torch.cat([t.reshape(-1) for t in tensors])
        dist.all_reduce(together)
        parts = together.split([t.numel() for t in tensors])
        return [part.view(t.shape).to(t.dtype) for part, t in zip(parts, tensors, strict=True)]

    def in_turn(self, function: Callable[[], T]) -> T:
        """The result of ``function``; the main process calls it first, so the others find its downloads and files.

        Raises:
            InputError: in every process, if one raises it.
        """
        if self.size == 1:
            return function()
        result: list[T] = []
        for turn in (self.main, not self.main):
            fault: str | None = None
            if turn:
                try:
                    result = [function()]
                except InputError as error:
                    fault = str(error)
            faults: list[str | None] = [None] * self.size
            dist.all_gather_object(faults, fault)
            for said in faults:
                if said is not None:
                    raise InputError(said)
        return result[0]

    def on_main(self, function: Callable[[], T]) -> T:
        """The result of ``function``, which only the main process calls, in every process.

        Raises:
            InputError: in every process, if the main one raises it.
        """
        if self.size == 1:
            return function()
        box = [self.in_turn(lambda: function() if self.main else None)]
        dist.broadcast_object_list(box, src=0)
        return box[0]  # type: ignore[return-value]


ALONE = Workers()


def started() -> Workers:
    """The processes that torchrun started, or this one alone without torchrun.

    Raises:
        InputError: if the environment says something else than torchrun does.
    """
    size, rank = os.environ.get("WORLD_SIZE", "1"), os.environ.get("RANK", "")
    if size in ("", "1") or not rank:
        return ALONE
    if not (size.isdecimal() and rank.isdecimal() and int(rank) < int(size)):
        said = f"WORLD_SIZE={size} and RANK={rank}"
        raise InputError(f"{said} are not what torchrun sets: unset them, or start with torchrun")
    return Workers(int(rank), int(size))


@contextmanager
def join() -> Iterator[Workers]:
    """In this context the processes of torchrun can reach each other; only the main one gives warnings."""
    workers = started()
    if workers.size == 1:
        yield workers
        return
    joined_before = dist.is_initialized()
    if not joined_before:
        nccl = torch.cuda.is_available() and dist.is_nccl_available()
        dist.init_process_group("cpu:gloo,cuda:nccl" if nccl else "gloo", timeout=PATIENCE)
    orderly = False
    try:
        with catch_warnings():
            if not workers.main:
                simplefilter("ignore")
            yield workers
            workers.on_main(lambda: None)  # no process leaves before all are done
        orderly = True
    except InputError:  # all of them have it
        orderly = True
        raise
    finally:
        # After any other error leave the group open: closing it would wait for processes that do not know of the error.
        if orderly and not joined_before:
            dist.destroy_process_group()
            gc.collect()  # its threads end here: at the end of the process nothing is collected
