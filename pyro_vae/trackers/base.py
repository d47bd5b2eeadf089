"""The protocol of trackers: programs that keep the numbers of many runs in one place."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

#: options as one flat mapping: ``{"guide": "IAF", "guide.transforms": 4}``
Options = Mapping[str, bool | int | float | str]


@runtime_checkable
class Tracker(Protocol):
    """What a run tells a tracker: its options at the start, numbers after each epoch, a folder of files at its end.

    A tracker is made without arguments, before anything of the run is written, and raises
    :class:`~pyro_vae.errors.InputError` where it cannot work, in one line that says what to install or to set. It takes
    its own settings from its own environment variables.
    """

    def start(self, name: str, options: Options, resumed: str | None) -> str:
        """Begin a run, or go on with one.

        Args:
            name: of the run.
            options: that it is trained with.
            resumed: what an earlier ``start`` of this run returned; None for a new run.

        Returns:
            What this tracker knows the run by.
        """
        ...

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """The numbers after an epoch, such as ``{"test/elbo": 26.9}``, nats per image; ``step`` counts those of SVI."""
        ...

    def finish(self, values: Mapping[str, float], files: Path) -> None:
        """The end of the run.

        Args:
            values: its result: the test ELBO of the best weights, nats per image, and the cost of training.
            files: a folder of pictures, which the tracker copies.
        """
        ...
