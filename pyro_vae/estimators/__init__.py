"""How good is the model, how good is the guide, and why: pure functions of a model, a guide and images.

Each figure is an :class:`Estimate`, which says how it was obtained; log densities are in nats per image. A figure that
has no meaning for a guide (a point mass has no density) raises :class:`NotDefined` with the reason. Modules are
expected in evaluation mode, as :func:`pyro_vae.load` gives them.
"""

from pyro_vae.estimators.aggregate import AggregatePosterior, aggregate_posterior, mmd
from pyro_vae.estimators.ais import Bracket, ais, bracket
from pyro_vae.estimators.annealing import Annealing
from pyro_vae.estimators.bits import in_bits
from pyro_vae.estimators.bounds import ElboEstimate, elbo, iwae
from pyro_vae.estimators.calibration import Calibration, calibration
from pyro_vae.estimators.certificate import Certificate, Demand, certify
from pyro_vae.estimators.estimate import Estimate
from pyro_vae.estimators.evidence import Annealed, Evidence, anneal, bracket_evidence, log_evidence
from pyro_vae.estimators.gap import (
    GapSplit,
    LocalBounds,
    LocalOptimization,
    Optimum,
    bounds_at,
    optimize_posterior,
    split_gap,
)
from pyro_vae.estimators.gaussian_fit import GaussianFit
from pyro_vae.estimators.gradients import GradientQuality, gradient_quality
from pyro_vae.estimators.importance import Importance, importance, pareto_k
from pyro_vae.estimators.imputation import Filled, filled
from pyro_vae.estimators.judgement import Judgement, judge, planes
from pyro_vae.estimators.labels import label_bounds
from pyro_vae.estimators.latent import ActiveUnits, active_units, kl_of_dimensions
from pyro_vae.estimators.modes import Search
from pyro_vae.estimators.ood import told_apart
from pyro_vae.estimators.posterior import Draws, TruePosterior, posterior
from pyro_vae.estimators.predictive import PredictiveCheck, posterior_check, prior_check
from pyro_vae.estimators.ranks import (
    Simulation,
    coverage_at,
    rank_densities,
    rank_dimensions,
    rank_quantities,
    simulated,
    tarp,
)
from pyro_vae.estimators.sampling import NotDefined, posterior_draws, simulate
from pyro_vae.estimators.uniformity import Band, RankTest

__all__ = [
    "ActiveUnits",
    "AggregatePosterior",
    "Annealed",
    "Annealing",
    "Band",
    "Bracket",
    "Calibration",
    "Certificate",
    "Demand",
    "Draws",
    "ElboEstimate",
    "Estimate",
    "Evidence",
    "Filled",
    "GapSplit",
    "GaussianFit",
    "GradientQuality",
    "Importance",
    "Judgement",
    "LocalBounds",
    "LocalOptimization",
    "NotDefined",
    "Optimum",
    "PredictiveCheck",
    "RankTest",
    "Search",
    "Simulation",
    "TruePosterior",
    "active_units",
    "aggregate_posterior",
    "ais",
    "anneal",
    "bounds_at",
    "bracket",
    "bracket_evidence",
    "calibration",
    "certify",
    "coverage_at",
    "elbo",
    "filled",
    "gradient_quality",
    "importance",
    "in_bits",
    "iwae",
    "judge",
    "kl_of_dimensions",
    "label_bounds",
    "log_evidence",
    "mmd",
    "optimize_posterior",
    "pareto_k",
    "planes",
    "posterior",
    "posterior_check",
    "posterior_draws",
    "prior_check",
    "rank_densities",
    "rank_dimensions",
    "rank_quantities",
    "simulate",
    "simulated",
    "split_gap",
    "tarp",
    "told_apart",
]
