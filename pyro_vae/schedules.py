"""How the weight of the KL term, beta, changes during a run."""

from abc import ABC, abstractmethod

from pyro_vae.plugs import named


class BetaSchedule(ABC):
    """A function from the progress of a run, 0 at its first step and 1 at its last, to beta."""

    @abstractmethod
    def __call__(self, progress: float) -> float:
        """Beta at ``progress`` in [0, 1]."""


def _check(**fractions: float) -> None:
    for name, value in fractions.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must lie between 0 and 1, not {value}")


class Constant(BetaSchedule):
    """The same beta throughout: 1 is the ELBO, more is the beta-VAE (Higgins et al. 2017).

    Args:
        beta: the weight.

    Raises:
        ValueError: if beta is negative or not a number.
    """

    def __init__(self, beta: float = 1.0):
        if not beta >= 0:
            raise ValueError(f"beta must not be negative, not {beta}")
        self.beta = beta

    def __call__(self, progress: float) -> float:
        return self.beta


class Linear(BetaSchedule):
    """From ``start`` to 1 over the first part of the run, then 1 (Bowman et al. 2016; Sonderby et al. 2016).

    A start above 1 makes information in z expensive at first, so that an inferred label learns what it can before z
    does.

    Args:
        warmup: its fraction of the run, between 0 and 1.
        start: beta at the first step; in the papers 0.

    Raises:
        ValueError: if ``warmup`` lies outside, or ``start`` is negative or not a number.
    """

    def __init__(self, warmup: float = 0.25, start: float = 0.0):
        _check(warmup=warmup)
        if not 0 <= start < float("inf"):
            raise ValueError(f"start must not be negative, not {start}")
        self.warmup, self.start = warmup, start

    def __call__(self, progress: float) -> float:
        risen = 1.0 if progress >= self.warmup else progress / self.warmup
        return self.start + (1 - self.start) * risen


class Cyclical(BetaSchedule):
    """Several rises from 0 to 1, each followed by a stay at 1 (Fu et al. 2019, equation 6).

    Args:
        cycles: the number of rises.
        rising: the fraction of a cycle, between 0 and 1, in which beta rises.

    Raises:
        ValueError: if ``cycles`` is not positive or ``rising`` lies outside.
    """

    def __init__(self, cycles: int = 4, rising: float = 0.5):
        _check(rising=rising)
        if cycles < 1:
            raise ValueError(f"cycles must be at least 1, not {cycles}")
        self.cycles, self.rising = cycles, rising

    def __call__(self, progress: float) -> float:
        within = progress * self.cycles % 1 if progress < 1 else 1.0
        return 1.0 if within >= self.rising else within / self.rising


#: every schedule of this file, by its name
SCHEDULES: dict[str, type[BetaSchedule]] = named(
    [one for one in list(vars().values()) if isinstance(one, type)], BetaSchedule
)
