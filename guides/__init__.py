"""Approximate posteriors q(z|x), one file a family. A new guide is one new file here, with one class.

Guides of other packages are found through the entry-point group ``pyro_vae.guides``. Type checkers read the names from
``__init__.pyi``, which ``python tests/test_typed_names.py`` writes.
"""

from guides.base import Guide as Guide
from guides.encoders import Encoder as Encoder
from pyro_vae.plugs import find, installed, named

#: every encoder of this project, by its name
ENCODERS: dict[str, type[Encoder]] = find(__name__, Encoder)
#: every guide that is installed, by its name
GUIDES: dict[str, type[Guide]] = find(__name__, Guide) | named(installed("guide"), Guide)
globals().update(ENCODERS | GUIDES)
__all__ = ["ENCODERS", "GUIDES", "Encoder", "Guide", *ENCODERS, *GUIDES]
