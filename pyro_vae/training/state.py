"""The state of training, beside the weights and the optimizer."""

import math
import time
from dataclasses import asdict, dataclass, replace
from typing import Any, Self


@dataclass(frozen=True)
class TrainingState:
    """The state of a run after an epoch.

    Attributes:
        epoch, step: the numbers of finished ones.
        seconds: the time of training.
        core_seconds: its processor time over all threads.
        best_elbo, best_epoch: the highest validation ELBO, nats per image, and its epoch.
        processes: the number of processes that train the run together.
        threads: of torch when the run began; None for runs that did not keep it.
        trace: the digest of the trace so far (:func:`pyro_vae.trace.trace_digest`).
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    core_seconds: float = 0.0
    best_elbo: float = -math.inf
    best_epoch: int = 0
    processes: int = 1
    threads: int | None = None
    trace: str = ""

    def after_epoch(self, steps: int, seconds: float, core_seconds: float) -> Self:
        """One epoch later."""
        return replace(
            self,
            epoch=self.epoch + 1,
            step=self.step + steps,
            seconds=self.seconds + seconds,
            core_seconds=self.core_seconds + core_seconds,
        )

    def with_best(self, elbo: float) -> Self:
        """The same, with this epoch as the best so far."""
        return replace(self, best_elbo=elbo, best_epoch=self.epoch)

    def ends(self, epochs: int, patience: int | None) -> bool:
        """Whether the last epoch is done, or the validation ELBO has not risen for ``patience`` epochs."""
        impatient = patience is not None and self.epoch - self.best_epoch >= patience
        return self.epoch >= epochs or impatient

    def to_dict(self) -> dict[str, Any]:
        """The content for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """The state in a checkpoint; runs of older versions did not count core-seconds or processes."""
        return cls(**{"core_seconds": math.nan, **saved})


@dataclass(frozen=True)
class Clock:
    """Measures time and processor time from its creation."""

    seconds: float
    core_seconds: float

    @classmethod
    def started(cls) -> Self:
        return cls(time.perf_counter(), time.process_time())

    def read(self) -> tuple[float, float]:
        """Seconds and core-seconds since the start."""
        return time.perf_counter() - self.seconds, time.process_time() - self.core_seconds
