"""The ELBO, by Pyro's two estimators."""

import pyro
import pyro.infer
import torch
from pyro.poutine import Trace
from torch import Tensor, nn

from pyro_vae.errors import InputError
from pyro_vae.objectives.base import Objective
from pyro_vae.objectives.sites import sample_sites
from pyro_vae.objectives.terms import ElboTerms, analytic_terms, for_each_image


def _pyro_surrogate(objective: Objective, model_trace: Trace, guide_trace: Trace, terms: ElboTerms) -> Tensor:
    """The surrogate of Pyro's estimator, with the KL weight on the latent sites."""
    slope = objective.kl_slope(terms)
    if isinstance(slope, Tensor) or slope != 1:
        # observed sites of the guide are factors of q, and so of the KL
        for trace, observed in ((model_trace, False), (guide_trace, None)):
            for _, site in sample_sites(trace, observed):
                for part in ("scale", "log_prob", "log_prob_sum"):
                    site[part] = site[part] * slope
                if "score_parts" in site:
                    site["score_parts"] = site["score_parts"].scale_and_mask(slope)
    _, loss = objective._differentiable_loss_particle(model_trace, guide_trace)
    return -loss / objective.num_particles


class Trace_ELBO(Objective):
    """Pyro's ``Trace_ELBO``: every term by sampling (AEVB's estimator A, equation 6)."""

    additive = True

    def bound_of(self, log_weight: Tensor) -> Tensor:
        return log_weight.mean(-2)

    def surrogate(self, model_trace: Trace, guide_trace: Trace, terms: ElboTerms) -> Tensor:
        return _pyro_surrogate(self, model_trace, guide_trace, terms)


class TraceMeanField_ELBO(Objective, pyro.infer.TraceMeanField_ELBO):
    """Pyro's ``TraceMeanField_ELBO``: the KL in closed form if it is known (AEVB's estimator B, equation 7).

    It is known for MeanField, FullRank and LowRank under a diagonal Gaussian prior. For flows, Householder included,
    the KL is sampled.

    Raises:
        InputError: by a pass, if the guide lacks a latent site of the model.
        NotImplementedError: by a pass, if the guide's samples carry no gradient.
    """

    needs_reparameterised = True
    additive = True

    def terms_of(self, model_trace: Trace, guide_trace: Trace) -> ElboTerms:
        drawn = dict(sample_sites(guide_trace))
        for name, _ in sample_sites(model_trace):
            if name not in drawn:
                raise InputError(
                    f"TraceMeanField_ELBO needs q of every latent site, and the guide has no site {name!r}"
                )
        return analytic_terms(model_trace, guide_trace, int(self.max_plate_nesting))

    def bound_of(self, log_weight: Tensor) -> Tensor:
        return log_weight.mean(-2)

    def surrogate(self, model_trace: Trace, guide_trace: Trace, terms: ElboTerms) -> Tensor:
        return _pyro_surrogate(self, model_trace, guide_trace, terms)


@torch.no_grad()
def elbo_terms(
    model: nn.Module, guide: nn.Module, x: Tensor, num_particles: int = 1, y: Tensor | None = None
) -> ElboTerms:
    """The ELBO's terms by sampling, without gradients: ``(N, *image_shape) -> (K, N)`` each, nats per image.

    ``y`` is ``(N,)``, the labels for models that need them.
    """
    elbo = Trace_ELBO(num_particles)
    with pyro.validation_enabled(False):
        elbo.differentiable_loss(model, guide, x, **({} if y is None else {"y": y}))
    assert elbo.terms is not None
    return for_each_image(elbo.terms, num_particles, len(x))
