"""Written by ``python tests/test_typed_names.py``; a test holds it against what pyro_vae.models finds."""

from pyro_vae.models.base import Model as Model
from pyro_vae.models.bayesian import BayesianVAE as BayesianVAE
from pyro_vae.models.decoders import DECODERS as DECODERS
from pyro_vae.models.decoders import Decoder as Decoder
from pyro_vae.models.decoders.conv import ConvDecoder as ConvDecoder
from pyro_vae.models.decoders.linear import LinearDecoder as LinearDecoder
from pyro_vae.models.decoders.mlp import MLPDecoder as MLPDecoder
from pyro_vae.models.labelled import M2 as M2
from pyro_vae.models.labelled import ConditionalVAE as ConditionalVAE
from pyro_vae.models.likelihoods import LIKELIHOODS as LIKELIHOODS
from pyro_vae.models.likelihoods import Likelihood as Likelihood
from pyro_vae.models.likelihoods.bernoulli import Bernoulli as Bernoulli
from pyro_vae.models.likelihoods.beta_binomial import BetaBinomial as BetaBinomial
from pyro_vae.models.likelihoods.categorical import Categorical as Categorical
from pyro_vae.models.likelihoods.columns import Columns as Columns
from pyro_vae.models.likelihoods.continuous_bernoulli import ContinuousBernoulli as ContinuousBernoulli
from pyro_vae.models.likelihoods.discretized_logistic import DiscretizedLogistic as DiscretizedLogistic
from pyro_vae.models.likelihoods.gaussian import Gaussian as Gaussian
from pyro_vae.models.linear_gaussian import LinearGaussian as LinearGaussian
from pyro_vae.models.priors import PRIORS as PRIORS
from pyro_vae.models.priors import Prior as Prior
from pyro_vae.models.priors.flow import FlowPrior as FlowPrior
from pyro_vae.models.priors.hierarchical import HierarchicalPrior as HierarchicalPrior
from pyro_vae.models.priors.mixture import MixturePrior as MixturePrior
from pyro_vae.models.priors.standard_normal import StandardNormal as StandardNormal
from pyro_vae.models.priors.vamp import VampPrior as VampPrior
from pyro_vae.models.vae import VAE as VAE

MODELS: dict[str, type[Model]]
