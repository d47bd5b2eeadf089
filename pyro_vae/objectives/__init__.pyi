"""Written by ``python tests/test_typed_names.py``; a test holds it against what pyro_vae.objectives finds."""

from pyro_vae.objectives.base import Objective as Objective
from pyro_vae.objectives.elbo import Trace_ELBO as Trace_ELBO
from pyro_vae.objectives.elbo import TraceMeanField_ELBO as TraceMeanField_ELBO
from pyro_vae.objectives.elbo import elbo_terms as elbo_terms
from pyro_vae.objectives.enumerated import TraceEnum_ELBO as TraceEnum_ELBO
from pyro_vae.objectives.multi_sample import IWAE as IWAE
from pyro_vae.objectives.multi_sample import RenyiELBO as RenyiELBO
from pyro_vae.objectives.path import STL as STL
from pyro_vae.objectives.path import DReG as DReG
from pyro_vae.objectives.terms import ElboTerms as ElboTerms
from pyro_vae.objectives.terms import analytic_terms as analytic_terms
from pyro_vae.objectives.terms import sampled_terms as sampled_terms

OBJECTIVES: dict[str, type[Objective]]
