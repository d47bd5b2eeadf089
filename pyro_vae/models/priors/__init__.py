"""p(z). A new prior is one class in one file here."""

from pyro_vae.models.priors.base import Prior as Prior
from pyro_vae.plugs import find

PRIORS: dict[str, type[Prior]] = find(__name__, Prior)  #: every prior of this project, by its name
globals().update(PRIORS)
__all__ = ["PRIORS", "Prior", *PRIORS]
