"""Generative stories p(x, z) and their parts: decoders, likelihoods, priors.

A new one is one class in one file: of this folder, or of the folder of its kind. Type checkers read the names from
``__init__.pyi``, which ``python tests/test_typed_names.py`` writes.
"""

from pyro_vae.models.base import Model as Model
from pyro_vae.models.decoders import DECODERS as DECODERS
from pyro_vae.models.decoders import Decoder as Decoder
from pyro_vae.models.likelihoods import LIKELIHOODS as LIKELIHOODS
from pyro_vae.models.likelihoods import Likelihood as Likelihood
from pyro_vae.models.priors import PRIORS as PRIORS
from pyro_vae.models.priors import Prior as Prior
from pyro_vae.plugs import find

MODELS: dict[str, type[Model]] = find(__name__, Model)  #: every model of this project, by its name
_FOUND = {**MODELS, **DECODERS, **LIKELIHOODS, **PRIORS}
globals().update(_FOUND)
__all__ = ["DECODERS", "LIKELIHOODS", "MODELS", "PRIORS", "Decoder", "Likelihood", "Model", "Prior", *_FOUND]
