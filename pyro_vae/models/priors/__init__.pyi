"""Written by ``python tests/test_typed_names.py``; a test holds it against what pyro_vae.models.priors finds."""

from pyro_vae.models.priors.base import Prior as Prior
from pyro_vae.models.priors.flow import FlowPrior as FlowPrior
from pyro_vae.models.priors.hierarchical import HierarchicalPrior as HierarchicalPrior
from pyro_vae.models.priors.mixture import MixturePrior as MixturePrior
from pyro_vae.models.priors.standard_normal import StandardNormal as StandardNormal
from pyro_vae.models.priors.vamp import VampPrior as VampPrior

PRIORS: dict[str, type[Prior]]
