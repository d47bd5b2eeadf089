"""p(x|z): what the decoder's numbers mean. One class in a file here is all that a new likelihood needs."""

from pyro_vae.models.likelihoods.base import Likelihood as Likelihood
from pyro_vae.plugs import find

LIKELIHOODS: dict[str, type[Likelihood]] = find(__name__, Likelihood)  #: every likelihood of this project, by its name
globals().update(LIKELIHOODS)
__all__ = ["LIKELIHOODS", "Likelihood", *LIKELIHOODS]
