"""Finds plugs: this project's in the files of their package, other packages' by entry points.

An installed package declares what is its own in the entry-point group of its kind:

[project.entry-points."pyro_vae.guides"]        # in the pyproject.toml of that package
MyGuide = "my_package.my_module:MyGuide"
"""

import inspect
import sys
import warnings
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, EntryPoints
from importlib.metadata import entry_points as read_entry_points
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

#: the entry-point group of each kind of plug; most are options of a run
GROUPS = {
    "model": "pyro_vae.models",
    "decoder": "pyro_vae.decoders",
    "likelihood": "pyro_vae.likelihoods",
    "prior": "pyro_vae.priors",
    "encoder": "pyro_vae.encoders",
    "guide": "pyro_vae.guides",
    "objective": "pyro_vae.objectives",
    "beta": "pyro_vae.schedules",
    "lr_schedule": "pyro_vae.lr_schedules",
    "data": "pyro_vae.data_sets",
    "metric": "pyro_vae.metrics",
    "tracker": "pyro_vae.trackers",
    "run_picture": "pyro_vae.run_pictures",
}


def find(package: str, kind: type) -> dict[str, Any]:
    """The classes of a kind that the files of a package define, by name; the files are imported.

    Args:
        package: imported, or being imported.
        kind: their base class.
    """
    return named([one for file, one in members(package) if isinstance(one, type) and one.__module__ == file], kind)


def members(package: str) -> list[tuple[str, Any]]:
    """All objects in the files of a package, each with the name of its file; the files are imported."""
    files = iter_modules(sys.modules[package].__path__, prefix=f"{package}.")
    return [(file.name, one) for file in files if not file.ispkg for one in vars(import_module(file.name)).values()]


def can_be_chosen(one: type) -> bool:
    """Whether a class can be made, and chosen by its name."""
    return not inspect.isabstract(one) and getattr(one, "chosen_by_name", True)


def named(classes: Iterable[type], kind: type) -> dict[str, Any]:
    """The classes of a kind that can be made and chosen, by name."""
    return {one.__name__: one for one in classes if issubclass(one, kind) and one is not kind and can_be_chosen(one)}


@cache
def _every() -> Any:  # another class in Python 3.11 than later
    """All declarations of installed packages, read once: it takes a tenth of a second."""
    return read_entry_points()


def entry_points(group: str) -> EntryPoints:
    """The declarations of a group."""
    return _every().select(group=group)


@cache
def declared(option: str, fits: Callable[[Any], bool], what: str) -> dict[str, Any]:
    """What installed packages declare for an option, imported, by the name in the declaration.

    Args:
        option: of :data:`GROUPS`.
        fits: whether an object is of the kind; one that is not, or cannot be imported, gives a warning.
        what: the kind, in a word.
    """
    found = {}
    for point in entry_points(group=GROUPS[option]):
        if not _is_installed(point):
            continue
        try:
            loaded = point.load()
        except Exception as error:  # an error in one package must not hide the other plugs
            warnings.warn(f"the {option} {point.name!r} of {point.value!r} could not be imported: {error}")
            continue
        if fits(loaded):
            found[point.name] = loaded
        else:
            warnings.warn(f"the {option} {point.name!r} of {point.value!r} is no {what}")
    return found


def installed(option: str) -> tuple[type, ...]:
    """The classes that installed packages declare for an option that is a class."""
    return tuple(declared(option, inspect.isclass, "class").values())


def _is_installed(point: EntryPoint) -> bool:
    """Ignore a declaration in the working directory, which may be a downloaded folder."""
    try:
        here = Path.cwd()
    except OSError:  # it was deleted
        return True
    return point.dist is None or Path(str(point.dist.locate_file(""))).resolve() != here
