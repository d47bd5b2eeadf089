"""Variational autoencoders in Pyro: the decoder is a model, the encoder an amortized guide, and SVI joins the two.

>>> import pyro_vae                                            # doctest: +SKIP
>>> run = pyro_vae.load("runs/digits")                         # doctest: +SKIP
>>> q = run.guide.posterior(run.guide.amortize(images))        # doctest: +SKIP
"""

# isort: off
from pyro_vae import interrupts as interrupts  # the first import: Ctrl-C may come in any of the others
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
# isort: on

if TYPE_CHECKING:
    from pyro_vae.encoding import features
    from pyro_vae.engine import SVI
    from pyro_vae.lifecycle import resume, train, train_or_resume
    from pyro_vae.pair import wrap
    from pyro_vae.runs import load
    from pyro_vae.use import anomaly_scores, export, impute, posterior_draws, reconstruct, sample, score

from pyro_vae.errors import InputError

__version__ = "0.1.0"

# The public names and their modules. They are imported when first used, so `python -m pyro_vae.svi` does not import its
# own module twice, and `--help` stays fast.
_PUBLIC = {
    "SVI": "pyro_vae.engine",
    "anomaly_scores": "pyro_vae.use",
    "export": "pyro_vae.use",
    "features": "pyro_vae.encoding",
    "impute": "pyro_vae.use",
    "load": "pyro_vae.runs",
    "posterior_draws": "pyro_vae.use",
    "reconstruct": "pyro_vae.use",
    "resume": "pyro_vae.lifecycle",
    "sample": "pyro_vae.use",
    "score": "pyro_vae.use",
    "train": "pyro_vae.lifecycle",
    "train_or_resume": "pyro_vae.lifecycle",
    "wrap": "pyro_vae.pair",
}

__all__ = [
    "SVI",
    "__version__",
    "anomaly_scores",
    "export",
    "features",
    "impute",
    "load",
    "posterior_draws",
    "reconstruct",
    "resume",
    "sample",
    "score",
    "train",
    "train_or_resume",
    "wrap",
]


if not TYPE_CHECKING:  # with __getattr__ visible, a type checker would accept any name

    def __getattr__(name: str) -> Any:
        if name in _PUBLIC:
            return getattr(import_module(_PUBLIC[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


def _check_guides() -> None:
    """Check that ``guides`` is this project's package, and not a file of that name in the user's folder.

    Raises:
        InputError: naming that file; a command of this project ends instead.
    """
    own = Path(__file__).resolve().parent.parent / "guides" / "__init__.py"
    try:
        found = find_spec("guides")
    except ValueError:  # a module without a spec replaces it
        found = None
    if found is not None and found.origin and Path(found.origin).resolve() == own:
        return
    where = ascii(found.origin)[1:-1] if found is not None and found.origin else "another module `guides`"
    message = f"{where} hides the package `guides` of pyro_vae: rename it, or start in another folder"
    command = Path(sys.argv[0]).name if sys.argv else ""
    if command in ("-m", "pyro-vae"):  # "-m" while Python looks for the command that it was started with
        sys.stderr.write(f"error: {message}\n")
        sys.exit(2)
    raise InputError(message)


_check_guides()
