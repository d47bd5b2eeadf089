"""Variational autoencoders in Pyro: the decoder is a model, the encoder an amortized guide, and SVI joins the two.

>>> import pyro_vae                                            # doctest: +SKIP
>>> run = pyro_vae.load("runs/digits")                         # doctest: +SKIP
>>> q = run.guide.posterior(run.guide.amortize(images))        # doctest: +SKIP
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# The public names and where they live. They are imported when first used, so that `python -m pyro_vae.svi` does not
# import its own module twice and `--help` does not pay for what it does not show.
_PUBLIC = {
    "capture": "pyro_vae.engine",
    "features": "pyro_vae.encoding",
    "load": "pyro_vae.runs",
    "train": "pyro_vae.svi",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
