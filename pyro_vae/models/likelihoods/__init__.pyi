"""Written by ``python tests/test_typed_names.py``; a test holds it against what pyro_vae.models.likelihoods finds."""

from pyro_vae.models.likelihoods.base import Likelihood as Likelihood
from pyro_vae.models.likelihoods.bernoulli import Bernoulli as Bernoulli
from pyro_vae.models.likelihoods.beta_binomial import BetaBinomial as BetaBinomial
from pyro_vae.models.likelihoods.categorical import Categorical as Categorical
from pyro_vae.models.likelihoods.columns import Columns as Columns
from pyro_vae.models.likelihoods.continuous_bernoulli import ContinuousBernoulli as ContinuousBernoulli
from pyro_vae.models.likelihoods.discretized_logistic import DiscretizedLogistic as DiscretizedLogistic
from pyro_vae.models.likelihoods.gaussian import Gaussian as Gaussian

LIKELIHOODS: dict[str, type[Likelihood]]
