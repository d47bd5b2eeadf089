"""p(x|z): what the decoder's numbers mean. A new likelihood is one class in one file here."""

from pyro_vae.models.likelihoods.base import Likelihood as Likelihood
from pyro_vae.plugs import find

LIKELIHOODS: dict[str, type[Likelihood]] = find(__name__, Likelihood)  #: every likelihood of this project, by its name
globals().update(LIKELIHOODS)
__all__ = ["LIKELIHOODS", "Likelihood", *LIKELIHOODS]
