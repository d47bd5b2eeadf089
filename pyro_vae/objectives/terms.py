"""The three terms of the ELBO, from the traces of one pass."""

from typing import NamedTuple

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

from pyro_vae.errors import InputError
from pyro_vae.objectives.sites import is_plain, per_image, plate_shape, sample_sites


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


def sampled_terms(model_trace: Trace, guide_trace: Trace, plates: int = 2) -> ElboTerms:
    """The terms at the guide's samples: AEVB's estimator A.

    They include a site's mask and scale as Pyro's ELBOs do: a site with scale s counts s times.

    Args:
        plates: the plates whose sizes the terms keep: 2, of particles (dimension -2) and images (-1), or only the
            latter. Further plates are summed.
    """
    shape = plate_shape(model_trace, guide_trace, plates=plates)

    def total(trace: Trace, observed: bool | None) -> Tensor:
        sites = (site for _, site in sample_sites(trace, observed))
        parts = [per_image(site, site["unscaled_log_prob"], shape, plates) for site in sites]
        whole = torch.stack(torch.broadcast_tensors(*parts)).sum(0) if parts else torch.zeros(())
        return whole if whole.shape == shape else whole.expand(shape)

    # Observed sites of the guide are factors of q.
    return ElboTerms(total(model_trace, True), total(model_trace, False), total(guide_trace, None))


def analytic_terms(model_trace: Trace, guide_trace: Trace, plates: int = 2) -> ElboTerms:
    """The terms with the KL, and with it the entropy, in closed form if they are known: AEVB's estimator B.

    Such a KL counts with the mask and scale of the guide's site, as in ``pyro.infer.TraceMeanField_ELBO``.

    Args:
        plates: see :func:`sampled_terms`.
    """
    log_likelihood, log_prior, log_posterior = sampled_terms(model_trace, guide_trace, plates)
    priors = dict(sample_sites(model_trace))
    shape = log_likelihood.shape
    for name, site in sample_sites(guide_trace):
        if name not in priors:  # an auxiliary site of the guide has no prior
            continue
        prior = priors[name]
        q, p = site["fn"], prior["fn"]
        try:
            kl = kl_divergence(q, p)
        except NotImplementedError:
            continue
        log_q, log_p = site["unscaled_log_prob"], prior["unscaled_log_prob"]
        try:
            mean_log_q = -q.entropy()
        except NotImplementedError:  # a point mass: its KL is known here, its entropy is not
            mean_log_q = log_q
        log_posterior = log_posterior + per_image(site, mean_log_q - log_q, shape, plates)
        log_prior = log_prior + per_image(site, mean_log_q - kl - log_p, shape, plates)
        if not (is_plain(site) and is_plain(prior)):
            # the sampled terms count log p with the model's handlers, but the line above subtracts it with the guide's
            difference = per_image(site, log_p, shape, plates) - per_image(prior, log_p, shape, plates)
            log_prior = log_prior + difference
    return ElboTerms(log_likelihood, log_prior, log_posterior)


def for_each_image(terms: ElboTerms, num_particles: int, num_images: int) -> ElboTerms:
    """The terms as ``(K, N)`` each.

    Raises:
        InputError: if their number of images differs.
    """
    rows = terms.log_likelihood.reshape(num_particles, -1).shape[-1]
    if rows not in (1, num_images):
        raise InputError(
            f"the model's plate has {rows} rows for {num_images} images, so the terms of each image are unknown: give"
            " the plate the size len(x), and choose images outside the model"
        )
    return ElboTerms(*(t.reshape(num_particles, -1).expand(num_particles, num_images) for t in terms))


@register_kl(MultivariateNormal, Independent)
@register_kl(LowRankMultivariateNormal, Independent)
def _kl_to_diagonal_normal(q: Distribution, p: Independent) -> Tensor:
    """KL(q || p) of a correlated Gaussian q and a diagonal one p, ``(N,)``, nats.

    torch has the formula only for two Gaussians of one class. E_q[log p] needs only the mean and the marginal variances
    of q.

    Raises:
        NotImplementedError: if p is not a diagonal Gaussian.
    """
    if not isinstance(p.base_dist, Normal) or p.reinterpreted_batch_ndims != 1:
        raise NotImplementedError
    spread = (q.variance / p.base_dist.variance).sum(-1) / 2
    return spread - p.log_prob(q.mean) - q.entropy()
