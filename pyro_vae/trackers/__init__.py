"""Where the numbers of a run are kept besides its folder: ``--tracker NAME``.

A tracker is a class with the three methods of :class:`~pyro_vae.trackers.base.Tracker`, in a file here by whose
name the option knows it. Other packages declare theirs in the entry-point group ``pyro_vae.trackers``.
"""

from collections.abc import Callable

from pyro_vae.errors import InputError
from pyro_vae.explain import nearest
from pyro_vae.plugs import declared, members
from pyro_vae.trackers.base import Options, Tracker
from pyro_vae.trackers.mlflow import MLflow

#: the trackers of this package, by the name of their file
OWN: dict[str, Callable[[], Tracker]] = {
    file.rpartition(".")[2]: one
    for file, one in members(__name__)
    if isinstance(one, type) and one.__module__ == file and one is not Tracker and issubclass(one, Tracker)
}


def trackers() -> dict[str, Callable[[], Tracker]]:
    """Every tracker that is installed, by its name; those of this package keep their names."""
    return {**declared("tracker", lambda found: isinstance(found, type), "class"), **OWN}


def tracker_class(name: str) -> Callable[[], Tracker]:
    """The tracker of this name.

    Raises:
        InputError: where there is none, with the nearest names.
    """
    known = trackers()
    if name not in known:
        raise InputError(f"no tracker {name!r}: {nearest(name, known)}known: {', '.join(known)}")
    return known[name]


__all__ = ["OWN", "MLflow", "Options", "Tracker", "tracker_class", "trackers"]
