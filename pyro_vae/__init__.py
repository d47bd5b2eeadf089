"""Variational autoencoders in Pyro: the decoder is a model, the encoder an amortized guide, and SVI joins the two.

>>> import pyro_vae                                            # doctest: +SKIP
>>> run = pyro_vae.load("runs/digits")                         # doctest: +SKIP
>>> q = run.guide.posterior(run.guide.amortize(images))        # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyro_vae.encoding import features
    from pyro_vae.engine import capture
    from pyro_vae.lifecycle import resume, train, train_or_resume
    from pyro_vae.runs import load

__version__ = "0.1.0"

# The public names and where they live. They are imported when first used, so that `python -m pyro_vae.svi` does not
# import its own module twice and `--help` does not pay for what it does not show.
_PUBLIC = {
    "capture": "pyro_vae.engine",
    "features": "pyro_vae.encoding",
    "load": "pyro_vae.runs",
    "resume": "pyro_vae.lifecycle",
    "train": "pyro_vae.lifecycle",
    "train_or_resume": "pyro_vae.lifecycle",
}

__all__ = ["__version__", "capture", "features", "load", "resume", "train", "train_or_resume"]


if not TYPE_CHECKING:  # a type checker would take any name for one that __getattr__ knows

    def __getattr__(name: str) -> Any:
        if name in _PUBLIC:
            return getattr(import_module(_PUBLIC[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
