"""Generative stories p(x, z) and their parts: decoders, likelihoods, priors."""

from pyro_vae.models.base import Model
from pyro_vae.models.bayesian import BayesianVAE
from pyro_vae.models.decoders import ConvDecoder, Decoder, LinearDecoder, MLPDecoder
from pyro_vae.models.hierarchical import HierarchicalPrior
from pyro_vae.models.labelled import M2, ConditionalVAE
from pyro_vae.models.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian, Likelihood
from pyro_vae.models.linear_gaussian import LinearGaussian
from pyro_vae.models.priors import FlowPrior, MixturePrior, Prior, StandardNormal
from pyro_vae.models.vae import VAE
from pyro_vae.models.vamp import VampPrior

__all__ = [
    "M2",
    "VAE",
    "BayesianVAE",
    "Bernoulli",
    "ConditionalVAE",
    "ContinuousBernoulli",
    "ConvDecoder",
    "Decoder",
    "FlowPrior",
    "Gaussian",
    "HierarchicalPrior",
    "Likelihood",
    "LinearDecoder",
    "LinearGaussian",
    "MLPDecoder",
    "MixturePrior",
    "Model",
    "Prior",
    "StandardNormal",
    "VampPrior",
]
