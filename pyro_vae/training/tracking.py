"""What a run tells its tracker; a tracker that fails ends with a note, and the run goes on."""

from collections.abc import Callable, Mapping
from typing import Any

from pyro_vae.errors import InputError
from pyro_vae.runs import RunFolder
from pyro_vae.terminal import printable
from pyro_vae.trace import TraceRow
from pyro_vae.trackers import Tracker

TOLD = ("elbo", "log_likelihood", "kl", "beta", "lr", "grad_norm")


class Tracking:
    """A tracker at work for one run. What it knows the run by is kept in ``metrics.json``, for a resumed run.

    Args:
        tracker: has been made, and not started.
        name: of the tracker.
        folder: of the run.
        say: shows a line to the user.
    """

    def __init__(self, tracker: Tracker, name: str, folder: RunFolder, say: Callable[[str], None]):
        from pyro_vae.events import options  # import TensorBoard only for a run that tells its options

        self.folder, self.name, self.say = folder, name, say
        self.tracker: Tracker | None = tracker
        known = folder.read_metrics().get("tracker", {})
        resumed = known["run"] if known.get("name") == name else None
        run = self._told("start", printable(folder.path.name), options(folder.config_text()), resumed)
        if run is not None:
            folder.update_metrics(tracker={"name": name, "run": run})

    def rows(self, rows: list[TraceRow]) -> None:
        """The rows of one epoch."""
        values = {
            f"{row.split}/{name}": float(value)
            for row in rows
            for name in TOLD
            if (value := getattr(row, name)) is not None and (row.split == "train" or name in TOLD[:3])
        }
        self._told("log", rows[-1].step, values)

    def finish(self, result: Mapping[str, Any], seconds: float, core_seconds: float) -> None:
        """The end of the run, with its test ELBO."""
        values = {"test_elbo": result["value"], "test_elbo_standard_error": result["standard_error"]}
        self._told("finish", {**values, "seconds": seconds, "core_seconds": core_seconds}, self.folder.figures)

    def _told(self, method: str, *what: Any) -> Any:
        """What the tracker answers; None if it fails, after which it is told nothing more."""
        if self.tracker is None:
            return None
        try:
            return getattr(self.tracker, method)(*what)
        except InputError:
            raise
        except Exception as error:  # a server that is gone must not end a run
            self.tracker = None
            words = " ".join(str(error).split())[:300]
            self.say(f"note: the tracker {self.name} fails, and is told nothing more: {type(error).__name__}: {words}")
            return None
