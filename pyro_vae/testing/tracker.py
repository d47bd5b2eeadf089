"""``check_tracker``: whether a tracker keeps its contract."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from pyro_vae.testing.context import looking_at, name_of, require
from pyro_vae.trackers import Tracker


def check_tracker(tracker_class: Callable[[], Tracker]) -> None:
    """Raise an error that says what is wrong with a tracker; return None if nothing is.

    A run of two epochs is told to it, stopped and resumed, beside another run in the same process.

    Args:
        tracker_class: made by ``tracker_class()``. It writes where its environment variables say.

    Raises:
        AssertionError: if the tracker breaks the contract.
    """
    with looking_at(name_of(tracker_class)), TemporaryDirectory() as folder:
        (Path(folder) / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        first, other = tracker_class(), tracker_class()
        for tracker in (first, other):
            for method in ("start", "log", "finish"):
                require(callable(getattr(tracker, method, None)), f"it has no method {method}")
        options: dict[str, bool | int | float | str] = {"guide": "MeanField", "guide.a": 1, "lr": 1e-3, "flag": True}
        run, another = first.start("a run", options, None), other.start("a run", options, None)
        for known in (run, another):
            require(isinstance(known, str) and bool(known), f"start returns {known!r} and not a text to resume by")
        require(run != another, "two runs have one name: start returns the same for both")
        first.log(1, {"train/elbo": -1.0, "test/elbo": float("nan")})
        other.log(1, {"train/elbo": -2.0})
        again = tracker_class()
        require(again.start("a run", options, run) == run, "a resumed run is known by another name")
        again.log(2, {"train/elbo": -0.5})
        again.finish({"test_elbo": -0.4}, Path(folder))
        other.finish({"test_elbo": -0.4}, Path(folder) / "there is no such folder")
