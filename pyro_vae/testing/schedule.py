"""``check_schedule``: whether a schedule of beta keeps its contract."""

import math
from collections.abc import Callable
from typing import Any

from pyro_vae.schedules import BetaSchedule
from pyro_vae.testing.context import looking_at, name_of, require


def check_schedule(schedule_class: Callable[..., BetaSchedule], **options: Any) -> None:
    """Raise an error that says what is wrong with a schedule of beta; return None if nothing is.

    Checked at 101 points of a run: beta is a finite number, not negative, and does not depend on the order of calls,
    because a resumed run starts in the middle.

    Args:
        schedule_class: a subclass of :class:`~pyro_vae.schedules.BetaSchedule`, made by ``schedule_class(**options)``.
        options: the schedule's own.

    Raises:
        AssertionError: if the schedule breaks the contract.

    Example:
        >>> from pyro_vae.schedules import Linear
        >>> check_schedule(Linear, warmup=0.5)
    """
    with looking_at(name_of(schedule_class)):
        schedule = schedule_class(**options)
        require(isinstance(schedule, BetaSchedule), f"it makes a {type(schedule).__name__}, which is no BetaSchedule")
        points = [i / 100 for i in range(101)]
        forwards = {point: schedule(point) for point in points}
        for point, beta in forwards.items():
            require(isinstance(beta, int | float), f"beta at {point} is a {type(beta).__name__} and not a number")
            require(math.isfinite(beta) and beta >= 0, f"beta at {point} is {beta}")
        other = schedule_class(**options)
        for point in reversed(points):
            same = other(point) == forwards[point]
            require(same, f"beta at {point} depends on what was asked before; a resumed run would differ")
