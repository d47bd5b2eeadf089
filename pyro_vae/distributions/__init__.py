"""Distributions that guides, priors and likelihoods share: flows, two stochastic layers, mixtures of Gaussians, rows of
a table, and missing values.
"""

from pyro_vae.distributions.by_column import ByColumn, Levels
from pyro_vae.distributions.flow import Flow, diagonal
from pyro_vae.distributions.layered import Layered
from pyro_vae.distributions.mixture import MixtureOfNormals
from pyro_vae.distributions.seen import WhereSeen

__all__ = ["ByColumn", "Flow", "Layered", "Levels", "MixtureOfNormals", "WhereSeen", "diagonal"]
