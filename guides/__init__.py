"""Approximate posteriors q(z|x), one file a family. A new file here, with one class, is all that a new guide needs.

Guides of other packages are found through the entry-point group ``pyro_vae.guides``. Type checkers read the names from
``__init__.pyi``, which ``python tests/test_typed_names.py`` writes.
"""

from importlib import import_module
from pkgutil import iter_modules

from guides.base import Guide as Guide
from guides.encoders import ConvEncoder as ConvEncoder
from guides.encoders import Encoder as Encoder
from guides.encoders import MLPEncoder as MLPEncoder
from pyro_vae.plugs import installed


def _find() -> dict[str, type[Guide]]:
    found: list[type] = []
    for module in iter_modules(__path__, prefix=f"{__name__}."):
        members = vars(import_module(module.name)).values()
        found += [c for c in members if isinstance(c, type) and c.__module__ == module.name]
    found += installed("guide")
    return {c.__name__: c for c in found if issubclass(c, Guide) and c is not Guide and c.chosen_by_name}


GUIDES: dict[str, type[Guide]] = _find()  #: every guide that is installed, by its name
globals().update(GUIDES)
__all__ = ["GUIDES", "ConvEncoder", "Encoder", "Guide", "MLPEncoder", *GUIDES]
