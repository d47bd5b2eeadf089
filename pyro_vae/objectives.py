"""What SVI maximises: Pyro's ELBOs under their own names, keeping the terms of their own pass.

Signs are AEVB's, bigger is better; units are nats per image. The loss that Pyro minimises is minus the sum over images.
"""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import pyro.infer
import torch
from pyro.poutine import Trace
from torch import Tensor, nn
from torch.distributions import kl_divergence


class ElboTerms(NamedTuple):
    """The three terms of the ELBO for each image, nats; each ``(N,)``, or ``(K, N)`` for K particles (AEVB, eq. 2)."""

    log_likelihood: Tensor
    log_prior: Tensor
    log_posterior: Tensor

    @property
    def kl(self) -> Tensor:
        """log q(z|x) - log p(z), whose mean under q is KL(q(z|x) || p(z))."""
        return self.log_posterior - self.log_prior

    @property
    def log_weight(self) -> Tensor:
        """log p(x, z) - log q(z|x), whose mean under q is the ELBO."""
        return self.log_likelihood + self.log_prior - self.log_posterior


def _latent_sites(model_trace: Trace, guide_trace: Trace) -> list[Any]:
    sites: list[Any] = [*model_trace.nodes.values(), *guide_trace.nodes.values()]
    return [site for site in sites if site["type"] == "sample" and not site["is_observed"]]


def sampled_terms(model_trace: Trace, guide_trace: Trace) -> ElboTerms:
    """The terms at the values that the guide drew: AEVB's estimator A."""

    def total(trace: Trace, observed: bool) -> Tensor:
        sites = [s for s in trace.nodes.values() if s["type"] == "sample" and s["is_observed"] == observed]
        return torch.stack([s["unscaled_log_prob"] for s in sites]).sum(0)

    return ElboTerms(total(model_trace, True), total(model_trace, False), total(guide_trace, False))


def analytic_terms(model_trace: Trace, guide_trace: Trace) -> ElboTerms:
    """The terms with KL and entropy in closed form wherever they are known: AEVB's estimator B."""
    sampled = sampled_terms(model_trace, guide_trace)
    log_prior = log_posterior = torch.zeros_like(sampled.log_likelihood)
    guide_sites: dict[str, Any] = dict(guide_trace.nodes)
    model_sites: dict[str, Any] = dict(model_trace.nodes)
    for name, q in guide_sites.items():
        if q["type"] != "sample":
            continue
        p = model_sites[name]
        try:
            kl, negative_entropy = kl_divergence(q["fn"], p["fn"]), -q["fn"].entropy()
        except NotImplementedError:
            kl = q["unscaled_log_prob"] - p["unscaled_log_prob"]
            negative_entropy = q["unscaled_log_prob"]
        log_posterior = log_posterior + negative_entropy
        log_prior = log_prior + negative_entropy - kl
    return ElboTerms(sampled.log_likelihood, log_prior, log_posterior)


class Objective(ABC):
    """What this project adds to a Pyro ELBO: the terms of the last pass, and a weight on the KL term.

    Args:
        num_particles: samples of z for each image, K, drawn in one vectorised pass.
        free_bits: nats. While the KL of the batch (its mean over images, over the whole latent vector) is below this,
            it is not pushed down any further: the bound becomes log-likelihood - max(free_bits, KL)
            (Kingma et al. 2016, equation 15, with one group).

    Attributes:
        kl_weight: beta, a number or a scalar tensor, set by whoever runs the schedule; 1 is the ELBO.
        terms: the :class:`ElboTerms` of the last pass, detached and without weights; None before the first.
    """

    def __init__(self, num_particles: int = 1, free_bits: float = 0.0):
        if num_particles < 1 or free_bits < 0:
            raise ValueError(f"num_particles must be positive, free_bits not negative: {num_particles}, {free_bits}")
        # The one plate, "data", is dimension -1; particles become dimension -2.
        super().__init__(num_particles=num_particles, vectorize_particles=True, max_plate_nesting=1)  # type: ignore[call-arg]
        self.free_bits = free_bits
        self.kl_weight: float | Tensor = 1.0
        self.terms: ElboTerms | None = None

    @abstractmethod
    def terms_of(self, model_trace: Trace, guide_trace: Trace) -> ElboTerms:
        """The terms of one pass, with their gradients."""

    def _get_trace(self, model: Any, guide: Any, args: Any, kwargs: Any) -> tuple[Trace, Trace]:
        model_trace, guide_trace = super()._get_trace(model, guide, args, kwargs)  # type: ignore[misc]
        terms = ElboTerms(*(t.detach() for t in self.terms_of(model_trace, guide_trace)))
        self.terms = terms
        weight = self.kl_weight
        if self.free_bits:
            weight = weight * (terms.kl.mean() > self.free_bits).to(terms.kl.dtype)
        if isinstance(weight, Tensor) or weight != 1:
            for site in _latent_sites(model_trace, guide_trace):
                site["scale"] = site["scale"] * weight
                site["log_prob"] = site["log_prob"] * weight
                site["log_prob_sum"] = site["log_prob_sum"] * weight
                if "score_parts" in site:
                    site["score_parts"] = site["score_parts"].scale_and_mask(weight)
        return model_trace, guide_trace


class Trace_ELBO(Objective, pyro.infer.Trace_ELBO):
    """Pyro's ``Trace_ELBO``: every term by sampling (AEVB's estimator A, equation 6)."""

    def terms_of(self, model_trace: Trace, guide_trace: Trace) -> ElboTerms:
        return sampled_terms(model_trace, guide_trace)


class TraceMeanField_ELBO(Objective, pyro.infer.TraceMeanField_ELBO):
    """Pyro's ``TraceMeanField_ELBO``: the KL in closed form where it is known (AEVB's estimator B, equation 7)."""

    def terms_of(self, model_trace: Trace, guide_trace: Trace) -> ElboTerms:
        return analytic_terms(model_trace, guide_trace)


@torch.no_grad()
def elbo_terms(model: nn.Module, guide: nn.Module, x: Tensor, num_particles: int = 1) -> ElboTerms:
    """The ELBO's terms by sampling, without gradients: ``(N, *image_shape) -> (K, N)`` each, nats per image."""
    elbo = Trace_ELBO(num_particles)
    with pyro.validation_enabled(False):
        for _ in elbo._get_traces(model, guide, (x,), {}):
            pass
    assert elbo.terms is not None
    return ElboTerms(*(t.reshape(num_particles, len(x)) for t in elbo.terms))
