"""The plugs of other packages: classes that an installed package declares, in the entry-point group of their kind.

[project.entry-points."pyro_vae.guides"]        # in the pyproject.toml of that package
MyGuide = "my_package.my_module:MyGuide"
"""

import warnings
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

#: the entry-point group of each option that is a class
GROUPS = {
    "model": "pyro_vae.models",
    "decoder": "pyro_vae.decoders",
    "likelihood": "pyro_vae.likelihoods",
    "prior": "pyro_vae.priors",
    "encoder": "pyro_vae.encoders",
    "guide": "pyro_vae.guides",
    "objective": "pyro_vae.objectives",
    "beta": "pyro_vae.schedules",
}


@cache
def installed(option: str) -> tuple[type, ...]:
    """The classes that installed packages declare for this option, imported; one that cannot be gives a warning."""
    found = []
    for point in entry_points(group=GROUPS[option]):
        if not _is_installed(point):
            continue
        try:
            loaded = point.load()
        except Exception as error:  # another package's fault must not take the other plugs away
            warnings.warn(f"the {option} {point.name!r} of {point.value!r} could not be imported: {error}")
            continue
        if isinstance(loaded, type):
            found.append(loaded)
        else:
            warnings.warn(f"the {option} {point.name!r} of {point.value!r} is no class")
    return tuple(found)


def _is_installed(point: EntryPoint) -> bool:
    """Not where its declaration lies in the working directory, which may be a folder that was downloaded."""
    try:
        here = Path.cwd()
    except OSError:  # it was deleted
        return True
    return point.dist is None or Path(str(point.dist.locate_file(""))).resolve() != here
