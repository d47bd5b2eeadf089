"""The three terms of the ELBO, read off the traces of one pass."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from pyro.poutine import Trace
from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    kl_divergence,
    register_kl,
)


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


def sample_sites(trace: Trace, observed: bool = False) -> Iterator[tuple[str, Any]]:
    """Names and sites of what the trace drew, or of what it observed."""
    for name, site in trace.nodes.items():
        if site["type"] == "sample" and site["is_observed"] == observed:
            yield name, site


def is_shared(site: Any) -> bool:
    """Whether a site lies outside every plate, as weights do that all images share (AEVB, Appendix F)."""
    return not site["cond_indep_stack"]


def per_image(site: Any, value: Tensor, rows: int) -> Tensor:
    """A log density of a site, as each image has it: its own, or its part of one that the images share.

    Args:
        value: of the site, ``(N,)`` or ``(K, N)``; of a shared site, a scalar.
        rows: images and particles that share it, K N. The site's scale is how much of it they bear together.
    """
    return value * (site["scale"] / rows) if is_shared(site) else value


def sampled_terms(model_trace: Trace, guide_trace: Trace) -> ElboTerms:
    """The terms at the values that the guide drew: AEVB's estimator A."""
    log_likelihood = torch.stack([site["unscaled_log_prob"] for _, site in sample_sites(model_trace, True)]).sum(0)

    def total(trace: Trace) -> Tensor:
        sites = (site for _, site in sample_sites(trace))
        parts = [per_image(site, site["unscaled_log_prob"], log_likelihood.numel()) for site in sites]
        return torch.stack(torch.broadcast_tensors(*parts)).sum(0)

    return ElboTerms(log_likelihood, total(model_trace), total(guide_trace))


def analytic_terms(model_trace: Trace, guide_trace: Trace) -> ElboTerms:
    """The terms with the KL, and with it the entropy, in closed form wherever they are known: AEVB's estimator B."""
    log_likelihood, log_prior, log_posterior = sampled_terms(model_trace, guide_trace)
    priors = dict(sample_sites(model_trace))
    for name, site in sample_sites(guide_trace):
        if name not in priors:  # an auxiliary site of the guide has no prior to be compared with
            continue
        q, p = site["fn"], priors[name]["fn"]
        try:
            kl = kl_divergence(q, p)
        except NotImplementedError:
            continue
        log_q, log_p = site["unscaled_log_prob"], priors[name]["unscaled_log_prob"]
        try:
            mean_log_q = -q.entropy()
        except NotImplementedError:  # a point mass: its KL is known here, its entropy is not
            mean_log_q = log_q
        log_posterior = log_posterior + per_image(site, mean_log_q - log_q, log_likelihood.numel())
        log_prior = log_prior + per_image(site, mean_log_q - kl - log_p, log_likelihood.numel())
    return ElboTerms(log_likelihood, log_prior, log_posterior)


@register_kl(MultivariateNormal, Independent)
@register_kl(LowRankMultivariateNormal, Independent)
def _kl_to_diagonal_normal(q: Distribution, p: Independent) -> Tensor:
    """KL of a correlated Gaussian from a diagonal one, which torch knows only between two of one kind.

    E_q[log p] needs no more of q than its mean and its marginal variances.
    """
    if not isinstance(p.base_dist, Normal) or p.reinterpreted_batch_ndims != 1:
        raise NotImplementedError
    spread = (q.variance / p.base_dist.variance).sum(-1) / 2
    return spread - p.log_prob(q.mean) - q.entropy()
