"""The bounds that SVI maximises: Pyro ELBOs, under Pyro's or their papers' names, that keep the terms of each pass.

Signs are AEVB's, bigger is better; units are nats per image. The loss that Pyro minimises is minus the sum over images.
A new objective is one class in one file here. Type checkers read the names from ``__init__.pyi``, which
``python tests/test_typed_names.py`` writes.
"""

from pyro_vae.objectives.base import Objective as Objective
from pyro_vae.objectives.elbo import elbo_terms as elbo_terms
from pyro_vae.objectives.terms import ElboTerms as ElboTerms
from pyro_vae.objectives.terms import analytic_terms as analytic_terms
from pyro_vae.objectives.terms import sampled_terms as sampled_terms
from pyro_vae.plugs import find

OBJECTIVES: dict[str, type[Objective]] = find(__name__, Objective)  #: every objective of this project, by its name
globals().update(OBJECTIVES)
__all__ = ["OBJECTIVES", "ElboTerms", "Objective", "analytic_terms", "elbo_terms", "sampled_terms", *OBJECTIVES]
