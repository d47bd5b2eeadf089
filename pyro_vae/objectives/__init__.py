"""What SVI maximises: Pyro ELBOs, under Pyro's names or those of their papers, that keep the terms of their own pass.

Signs are AEVB's, bigger is better; units are nats per image. The loss that Pyro minimises is minus the sum over images.
"""

from pyro_vae.objectives.base import Objective
from pyro_vae.objectives.elbo import Trace_ELBO, TraceMeanField_ELBO, elbo_terms
from pyro_vae.objectives.enumerated import TraceEnum_ELBO
from pyro_vae.objectives.multi_sample import IWAE, RenyiELBO
from pyro_vae.objectives.path import STL, DReG
from pyro_vae.objectives.terms import ElboTerms, analytic_terms, sampled_terms

__all__ = [
    "IWAE",
    "STL",
    "DReG",
    "ElboTerms",
    "Objective",
    "RenyiELBO",
    "TraceEnum_ELBO",
    "TraceMeanField_ELBO",
    "Trace_ELBO",
    "analytic_terms",
    "elbo_terms",
    "sampled_terms",
]
