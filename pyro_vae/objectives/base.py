"""The base class of every objective here."""

from abc import ABC, abstractmethod
from typing import Any

import pyro.infer
import torch
from pyro.distributions.util import is_identically_zero
from pyro.infer.util import check_fully_reparametrized, torch_item
from pyro.poutine import Trace
from pyro.util import warn_if_nan
from torch import Tensor

from pyro_vae.objectives.sites import require_whole_images, sample_sites
from pyro_vae.objectives.terms import ElboTerms, sampled_terms


class Objective(pyro.infer.Trace_ELBO, ABC):
    r"""A bound for SVI to maximise: a Pyro ELBO that keeps the terms of each pass and weighs the KL term.

    One pass draws K samples of z for each image, in one batch, and gives each the log weight

    .. math:: \log w_k = \log p(x|z_k) - \beta\,[\log q(z_k|x) - \log p(z_k)].

    A new objective computes its bound from these in :meth:`bound_of`; its gradient follows. An objective with a better
    gradient estimator also overrides :meth:`surrogate`.

    Args:
        num_particles: samples of z for each image, K.
        free_bits: nats. While the batch-mean KL, over images, samples and the whole latent vector, is at most this,
            each image pays this constant instead, so nothing pushes the KL lower: the ELBO becomes log-likelihood -
            beta max(free_bits, KL) (Kingma et al. 2016, equation 15, with all latents in one group).

    Attributes:
        kl_weight: beta, a number or a scalar tensor, set by the schedule; 1 is the true bound.
        terms: the :class:`ElboTerms` of the last pass, each ``(K, N)``, or ``(N,)`` where K is 1; detached and without
            weights. None before the first pass.

    Raises:
        ValueError: if K is not positive or ``free_bits`` is negative.
    """

    #: whether the gradient needs a guide whose samples carry gradients
    needs_reparameterised = False
    #: whether q scores samples other than its own last one
    rescores = False
    #: whether the bound is a mean of log weights, so that a scaled site counts as in Pyro's ELBOs
    additive = False

    def __init__(self, num_particles: int = 1, free_bits: float = 0.0):
        if num_particles < 1 or free_bits < 0:
            raise ValueError(f"num_particles must be positive, free_bits not negative: {num_particles}, {free_bits}")
        # The one plate, "data", is dimension -1; particles become dimension -2.
        super().__init__(num_particles=num_particles, vectorize_particles=True, max_plate_nesting=1)
        self.free_bits = free_bits
        self.kl_weight: float | Tensor = 1.0
        self.terms: ElboTerms | None = None

    @property
    def bound(self) -> Tensor | None:
        """The bound of each image, ``(N,)``, nats, from :attr:`terms`, the KL weight and the free bits.

        The loss of the last pass is exactly minus the sum of this bound. None before the first pass.
        """
        return None if self.terms is None else self.bound_of(self.log_weight(self.terms))

    @abstractmethod
    def bound_of(self, log_weight: Tensor) -> Tensor:
        """The bound from K log weights for each image, ``(..., K, N) -> (..., N)``, nats."""

    def terms_of(self, model_trace: Trace, guide_trace: Trace) -> ElboTerms:
        """The terms of one pass, with their gradients."""
        return sampled_terms(model_trace, guide_trace, int(self.max_plate_nesting))

    def surrogate(self, model_trace: Trace, guide_trace: Trace, terms: ElboTerms) -> Tensor:
        """A scalar whose gradient estimates that of the bound's sum over images; its value is not used."""
        log_weight = self.log_weight(terms)
        bound = self.bound_of(log_weight)
        # The score belongs to the sampled distribution; the site's scale and mask do not change it.
        scores = [site["score_parts"].score_function for _, site in sample_sites(guide_trace, None)]
        scores = [score for score in scores if not is_identically_zero(score)]
        if not scores:
            return bound.sum()
        # For samples without gradients: the signal of a sample is the bound minus the bound of the other samples (the
        # idea of VIMCO, Mnih & Rezende 2016).
        signal = bound.detach()
        if (particles := self.num_particles) > 1:
            index = torch.arange(particles, device=bound.device)
            others = (index[:, None] + index[1:]) % particles
            signal = signal - self.bound_of(log_weight.detach()[others])
        return bound.sum() + (torch.stack(torch.broadcast_tensors(*scores)).sum(0) * signal).sum()

    def log_weight(self, terms: ElboTerms) -> Tensor:
        """log w_k of each sample and image, ``(K, N)``, nats."""
        kl = terms.kl
        if self.free_bits:
            kl = torch.where(self._above_floor(terms), kl, self.free_bits)
        return (terms.log_likelihood - self.kl_weight * kl).reshape(self.num_particles, -1)

    def kl_slope(self, terms: ElboTerms) -> float | Tensor:
        """The slope of the bound in minus the KL: beta, or 0 while the free bits hold."""
        return self.kl_weight * self._above_floor(terms).to(terms.kl.dtype) if self.free_bits else self.kl_weight

    def _above_floor(self, terms: ElboTerms) -> Tensor:
        # With this form, a NaN KL counts as above the floor, and the loss shows it.
        return ~(terms.kl.detach().mean() <= self.free_bits)

    def differentiable_loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Minus the bound summed over images, a scalar that carries the estimator's gradient.

        Masks, scales and subsampled plates count as in Pyro's ELBOs.

        Raises:
            InputError: if a mask does not have one value an image, or the bound is not ``additive`` and a site is
                scaled or shared by images.
            ValueError: if the guide scores only its own samples (planar and radial flows) and this objective needs
                others.
            NotImplementedError: if the guide's samples carry no gradient and this objective needs one.
        """
        if self.rescores and not getattr(guide, "scores_any_z", True):
            raise ValueError(
                f"{type(self).__name__} needs q(z|x) at fixed values of z, and {type(guide).__name__} scores only"
                " its own samples: train it with Trace_ELBO, IWAE or RenyiELBO"
            )
        [(model_trace, guide_trace)] = self._get_traces(model, guide, args, kwargs)
        if not self.additive:
            require_whole_images(type(self).__name__, model_trace, guide_trace)
        if self.needs_reparameterised:
            for _, site in sample_sites(guide_trace, None):
                check_fully_reparametrized(site)
        terms = self.terms_of(model_trace, guide_trace)
        self.terms = ElboTerms(*(term.detach() for term in terms))
        loss = -self.bound_of(self.log_weight(self.terms)).sum()
        if torch.is_grad_enabled():
            surrogate = self.surrogate(model_trace, guide_trace, terms)
            loss = loss + (surrogate.detach() - surrogate)
        return loss

    def loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> float:
        """Minus the bound summed over images, without gradients."""
        with torch.no_grad():
            return torch_item(self.differentiable_loss(model, guide, *args, **kwargs))

    def loss_and_grads(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> float:
        """The same, after adding its gradients to those of the parameters; ``pyro.infer.SVI`` calls this."""
        loss = self.differentiable_loss(model, guide, *args, **kwargs)
        if loss.requires_grad:
            loss.backward(retain_graph=self.retain_graph)
        warn_if_nan(loss, "loss")
        return torch_item(loss)
