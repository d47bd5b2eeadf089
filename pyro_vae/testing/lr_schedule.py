"""``check_lr_schedule``: whether a course of the learning rate keeps its contract."""

import math

from pyro_vae.lr_schedules import LrSchedule
from pyro_vae.testing.context import looking_at, name_of, require


def check_lr_schedule(schedule: LrSchedule) -> None:
    """Raise an error that says what is wrong with a learning-rate schedule; return None where nothing is.

    Looked at, at 101 points of a run: the factor is a number between 0 and 1, and the same whenever it is asked, in
    any order, for a resumed run asks from the middle. It is 1 somewhere, for ``--lr`` is the highest learning rate.

    Args:
        schedule: from the progress of a run, in [0, 1], to the learning rate as a part of its highest.

    Raises:
        AssertionError: where the schedule breaks the contract.

    Example:
        >>> from pyro_vae.lr_schedules import cosine
        >>> check_lr_schedule(cosine)
    """
    with looking_at(name_of(schedule)):
        points = [i / 100 for i in range(101)]
        factors = {point: schedule(point) for point in points}
        for point, factor in factors.items():
            require(isinstance(factor, int | float), f"at {point} it is a {type(factor).__name__} and not a number")
            require(math.isfinite(factor) and 0 <= factor <= 1, f"at {point} it is {factor}, which is not in [0, 1]")
        for point in reversed(points):
            same = schedule(point) == factors[point]
            require(same, f"at {point} it depends on what was asked before; a resumed run would differ")
        highest = max(factors.values())
        require(highest > 0.99, f"it never reaches 1: its highest is {highest:.3g}")
