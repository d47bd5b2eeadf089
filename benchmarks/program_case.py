"""A Pyro program to be timed and compared: what SVI takes, made afresh for each arm."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pyro
import torch
from torch import Tensor


class ProgramCase(NamedTuple):
    """What an SVI and its steps take.

    Attributes:
        model, guide, optim, loss: of the SVI.
        args: of each step.
    """

    model: Callable
    guide: Callable
    optim: Any
    loss: Any
    args: tuple = ()


Make = Callable[[], ProgramCase]
PROGRAMS: dict[str, Make] = {}  #: every program of the suite, by name
ASIDE: set[str] = set()  #: the names of those that were kept aside while the engine was made


def program(make: Make) -> Make:
    """Add a program to the suite, under the name of its function."""
    PROGRAMS[make.__name__] = make
    return make


def aside(make: Make) -> Make:
    """Add a program that was kept aside."""
    ASIDE.add(make.__name__)
    return program(make)


def family(name: str, make: Callable[[Any], ProgramCase], members: dict[str, Any]) -> None:
    """Add one program for each member: the same story with another guide, loss or optimizer."""
    for member, value in members.items():
        PROGRAMS[f"{name}_{member}"] = lambda value=value: make(value)


def adam(lr: float = 0.01) -> pyro.optim.PyroOptim:
    return pyro.optim.Adam({"lr": lr})


def draws(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal data, the same for every arm."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def coins(*shape: int, p: float = 0.4, seed: int = 0) -> Tensor:
    """Binary data, the same for every arm."""
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < p).float()


def timed(step: Callable[[], object], count: int) -> list[float]:
    """The processor times of so many steps, seconds."""
    spent = []
    for _ in range(count):
        began = time.process_time()
        step()
        spent.append(time.process_time() - began)
    return spent
