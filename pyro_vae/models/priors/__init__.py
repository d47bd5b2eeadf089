"""p(z). One class in a file here is all that a new prior needs."""

from pyro_vae.models.priors.base import Prior as Prior
from pyro_vae.plugs import find

PRIORS: dict[str, type[Prior]] = find(__name__, Prior)  #: every prior of this project, by its name
globals().update(PRIORS)
__all__ = ["PRIORS", "Prior", *PRIORS]
