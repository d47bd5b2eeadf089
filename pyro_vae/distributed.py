"""Several processes that train one run: data parallelism, as torchrun starts it.

    torchrun --nproc-per-node=4 -m pyro_vae.svi --batch-size 64     # steps of 4 x 64 images

Each process has the whole model and its own part of every minibatch; gradients are averaged over the images of all of
them before the optimizer's step, which is then the same everywhere. Nothing else in the project asks the environment
whether there are other processes.
"""

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

# The others wait while the main process measures and draws. None has to be timed out: when one process dies, torchrun
# ends them all.
PATIENCE = timedelta(days=7)


@dataclass(frozen=True)
class Workers:
    """The processes of a run, seen from one of them; by default it is alone.

    Attributes:
        rank: which one this is. Number 0 is the main one, which alone writes and speaks.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def main(self) -> bool:
        return self.rank == 0

    @property
    def command(self) -> str:
        """What is typed before ``-m`` to have so many processes."""
        return "python" if self.size == 1 else f"torchrun --nproc-per-node={self.size}"

    def device(self, wanted: torch.device) -> torch.device:
        """The device of this process: with CUDA, each process of a machine has one of its own.

        Raises:
            InputError: where the machine has fewer, or one was asked for by its number.
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
        """This process's rows of a minibatch, and what part of it they are.

        The rows differ by at most one between processes. Where there are fewer rows than processes, those that would
        have none take the first one with weight zero, so that every process takes the same steps.
        """
        own = minibatch[self.rank :: self.size]
        return (own, len(own) / len(minibatch)) if len(own) else (minibatch[:1], 0.0)

    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The sum of each tensor over the processes, by one message; to the last bit the same in all of them."""
        if self.size == 1:
            return list(tensors)
        together = torch.cat([t.reshape(-1) for t in tensors])
        dist.all_reduce(together)
        parts = together.split([t.numel() for t in tensors])
        return [part.view(t.shape).to(t.dtype) for part, t in zip(parts, tensors, strict=True)]

    def in_turn(self, function: Callable[[], T]) -> T:
        """What ``function`` gives, called by the main process first: the others find what it downloaded or wrote.

        Raises:
            InputError: in every process, where it is raised in one.
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
        """What ``function`` gives in the main process, which alone calls it, for all of them.

        Raises:
            InputError: in every process, where the main one raises it.
        """
        if self.size == 1:
            return function()
        box = [self.in_turn(lambda: function() if self.main else None)]
        dist.broadcast_object_list(box, src=0)
        return box[0]  # type: ignore[return-value]


ALONE = Workers()


def started() -> Workers:
    """What torchrun says of the processes that it started; this one alone where it started none."""
    size = int(os.environ.get("WORLD_SIZE", 1))
    return Workers(int(os.environ["RANK"]), size) if size > 1 and "RANK" in os.environ else ALONE


@contextmanager
def join() -> Iterator[Workers]:
    """Within it, the processes that torchrun started can reach each other; only the main one gives warnings."""
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
            workers.on_main(lambda: None)  # none leaves before all are done
        orderly = True
    except InputError:  # which all of them have
        orderly = True
        raise
    finally:
        # After another error the group is left as it is: to leave it would wait for those that know of no error.
        if orderly and not joined_before:
            dist.destroy_process_group()
