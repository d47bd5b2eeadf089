"""The course of the learning rate: from the progress of a run, 0 at its first step and 1 at its last, to a factor.

``--lr-schedule NAME`` multiplies ``--lr`` by it. Each public function here is found by its name, and those of other
packages through the entry-point group ``pyro_vae.lr_schedules``; a name is all that a file or a command line can give.
"""

import inspect
import math
from collections.abc import Callable

from pyro_vae.errors import InputError
from pyro_vae.explain import nearest
from pyro_vae.plugs import declared

LrSchedule = Callable[[float], float]


def constant(progress: float) -> float:
    """The same learning rate throughout."""
    return 1.0


def linear(progress: float) -> float:
    """In a straight line to 0."""
    return 1 - progress


def cosine(progress: float) -> float:
    """Half a cosine to 0 (Loshchilov & Hutter 2017, without restarts)."""
    return (1 + math.cos(math.pi * progress)) / 2


def one_cycle(progress: float) -> float:
    """In a straight line up from a tenth over the first twentieth of the run, then half a cosine to 0.

    References:
        Smith & Topin 2019, Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates.
    """
    if progress < 0.05:
        return 0.1 + 18 * progress
    return (1 + math.cos(math.pi * (progress - 0.05) / 0.95)) / 2


def stages(progress: float) -> float:
    """Stage i = 0..7 lasts 3^i parts of the run, at 10^(-i/7) (Burda et al. 2015).

    >>> [round(stages(progress), 3) for progress in (0.0, 0.001, 0.5, 1.0)]
    [1.0, 0.72, 0.1, 0.1]
    """
    stage = min(7, int(math.log(1 + progress * (3**8 - 1), 3)))
    return 10 ** (-stage / 7)


#: the schedules of this file, by name
OWN: dict[str, LrSchedule] = {
    name: one for name, one in list(vars().items()) if inspect.isfunction(one) and one.__module__ == __name__
}


def lr_schedules() -> dict[str, LrSchedule]:
    """Every schedule that is installed, by its name; those of this file keep their names."""
    return {**declared("lr_schedule", callable, "function"), **OWN}


def lr_schedule(name: str) -> LrSchedule:
    """The schedule of this name.

    Raises:
        InputError: where there is none, with the nearest names.
    """
    known = lr_schedules()
    if name not in known:
        raise InputError(f"no lr_schedule {name!r}: {nearest(name, known)}known: {', '.join(known)}")
    return known[name]
