"""Encoder gradients that flow only through the samples, and so vary less."""

from typing import Any

import torch
from pyro.distributions.util import sum_rightmost
from pyro.poutine import Trace
from torch import Tensor

from pyro_vae.objectives.base import Objective
from pyro_vae.objectives.multi_sample import log_mean_exp
from pyro_vae.objectives.sites import counted, per_image, sample_sites
from pyro_vae.objectives.terms import ElboTerms


def _latent_site(guide_trace: Trace, objective: Objective) -> Any:
    sites = [site for _, site in sample_sites(guide_trace, None)]
    if len(sites) != 1:
        raise ValueError(f"{type(objective).__name__} is for guides with one latent site; this one has {len(sites)}")
    return sites[0]


def _log_posterior_along_path(site: Any) -> Tensor:
    r"""A tensor with only the gradient :math:`\nabla_z \log q(z|x) \cdot \partial z / \partial\phi` of log q(z|x).

    Its shape is that of log q, but its value is not log q. The gradient leaves out the derivative of log q in its own
    parameters at a fixed z, whose mean is zero. The function scores a copy of z, because a flow computes the density of
    its own sample without passing through z.
    """
    z, q = site["value"], site["fn"]
    leaf = z.detach().requires_grad_()
    log_q = q.log_prob(leaf)
    if not log_q.requires_grad:  # a point mass, flat in z
        return torch.zeros_like(log_q)
    (slope,) = torch.autograd.grad(log_q.sum(), leaf, materialize_grads=True)
    return sum_rightmost(slope * z, q.event_dim)


def _along_path(site: Any, terms: ElboTerms, objective: Objective) -> ElboTerms:
    """The terms, with log q as a function of the samples alone."""
    log_q = _log_posterior_along_path(site)
    return terms._replace(log_posterior=per_image(site, log_q, terms.kl.shape, int(objective.max_plate_nesting)))


class STL(Objective):
    r"""Sticking the landing: the ELBO, whose gradient leaves out the score of q.

    The score :math:`\nabla_\phi \log q_\phi(z)` at a fixed z has mean zero and adds only noise; without it the
    gradient's variance falls to zero as q approaches the exact posterior.

    Args:
        num_particles: K; the gradients of K samples are averaged.
        free_bits: see :class:`Objective`.

    Raises:
        ValueError: by a pass, if the guide does not have exactly one latent site.

    References:
        Roeder, Wu & Duvenaud 2017, Sticking the Landing: Simple, Lower-Variance Gradient Estimators for
        Variational Inference, section 3.
    """

    needs_reparameterised = True
    rescores = True
    additive = True

    def bound_of(self, log_weight: Tensor) -> Tensor:
        return log_weight.mean(-2)

    def surrogate(self, model_trace: Trace, guide_trace: Trace, terms: ElboTerms) -> Tensor:
        along_path = _along_path(_latent_site(guide_trace, self), terms, self)
        return (terms.log_likelihood - self.kl_slope(terms) * along_path.kl).sum() / self.num_particles


class DReG(Objective):
    r"""The bound of :class:`IWAE` with the doubly reparameterised gradient.

    With the normalised weights :math:`\tilde w_k`, the model's gradient is IWAE's,
    :math:`\sum_k \tilde w_k \nabla_\theta \log w_k`, and the guide's is
    :math:`\sum_k \tilde w_k^2\, \nabla_{z_k} \log w_k \cdot \partial z_k / \partial\phi`. Both are unbiased. If beta
    weighs the KL, the factor of the guide's gradient becomes :math:`(1 - \beta) \tilde w_k + \beta \tilde w_k^2`: the
    second reparameterisation concerns only the score of q, which enters log w with the factor beta.

    Args:
        num_particles: K. With K = 1 this is :class:`STL`.
        free_bits: see :class:`Objective`.

    Raises:
        ValueError: by a pass, if the guide does not have exactly one latent site.

    References:
        Tucker, Lawson, Gu & Maddison 2018, Doubly Reparameterized Gradient Estimators for Monte Carlo Objectives,
        section 3.
    """

    needs_reparameterised = True
    rescores = True

    def __init__(self, num_particles: int = 5, free_bits: float = 0.0):
        super().__init__(num_particles, free_bits)

    def bound_of(self, log_weight: Tensor) -> Tensor:
        return log_mean_exp(log_weight)

    def surrogate(self, model_trace: Trace, guide_trace: Trace, terms: ElboTerms) -> Tensor:
        site = _latent_site(guide_trace, self)
        slope = self.kl_slope(terms)
        along_path = _along_path(site, terms, self)
        weight = self.log_weight(terms).detach().softmax(-2).reshape(terms.kl.shape)
        if site["value"].requires_grad:
            # The whole gradient at z is the path's; here its factor w becomes (1 - beta) w + beta w^2. The second part
            # replaces the score of q, which log w does not contain where q is masked.
            score = slope if site["mask"] is None else slope * counted(site, torch.ones_like(weight))
            factor = (1 - score + score * weight).reshape(*weight.shape, *[1] * site["fn"].event_dim)
            site["value"].register_hook(lambda gradient: factor * gradient)
        return (weight * (terms.log_likelihood - slope * along_path.kl)).sum()
