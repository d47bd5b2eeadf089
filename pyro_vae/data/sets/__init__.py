"""The data sets that have names: one declaration in one file here is all that a new one needs.

Those of other packages are found through the entry-point group ``pyro_vae.data_sets``.
"""

from pyro_vae.data.sets.base import NamedData
from pyro_vae.plugs import declared, members

#: the data sets of this project, by name
OWN: dict[str, NamedData] = {one.name: one for _, one in members(__name__) if isinstance(one, NamedData)}


def data_sets() -> dict[str, NamedData]:
    """Every named data set that is installed; those of this project keep their names."""
    others = declared("data", _is_one, "NamedData").values()
    return {**{one.name: one for one in others}, **OWN}


def _is_one(found: object) -> bool:
    return isinstance(found, NamedData)


__all__ = ["OWN", "NamedData", "data_sets"]
