"""Distributions that guides and priors share: flows, two stochastic layers, and mixtures of Gaussians."""

from pyro_vae.distributions.flow import Flow, diagonal
from pyro_vae.distributions.layered import Layered
from pyro_vae.distributions.mixture import MixtureOfNormals

__all__ = ["Flow", "Layered", "MixtureOfNormals", "diagonal"]
