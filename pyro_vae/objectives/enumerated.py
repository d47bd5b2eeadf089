"""The ELBO with discrete latent variables summed out exactly."""

import pyro.infer
import torch
from pyro.infer.util import check_fully_reparametrized
from pyro.poutine import Trace
from torch import Tensor

from pyro_vae.errors import InputError
from pyro_vae.objectives.base import Objective
from pyro_vae.objectives.sites import counted, is_shared, sample_sites
from pyro_vae.objectives.terms import ElboTerms


class TraceEnum_ELBO(Objective, pyro.infer.TraceEnum_ELBO):
    r"""Pyro's ``TraceEnum_ELBO`` for the discrete sites of the guide: their expectation is a sum, not a sample.

    A site of the guide marked ``infer={"enumerate": "parallel"}`` takes all its values y at once, one row for each, and
    each term of the ELBO becomes :math:`\sum_y q(y|x)\,(\cdot)`, whose gradient needs no score function. The other
    latent sites are drawn once for each row and must be reparameterised. Without such a site this is ``Trace_ELBO``.
    Sites that only the model has are not summed out here.

    Args:
        num_particles: see :class:`Objective`.
        free_bits: see :class:`Objective`.

    Raises:
        InputError: by a pass, if the guide lacks a latent site of the model, or the images share a site, or a site is
            in another plate.
        NotImplementedError: by a pass, if another site's samples carry no gradient.
    """

    additive = True

    # Use this parent's traces, because they check the enumeration.
    _get_trace = pyro.infer.TraceEnum_ELBO._get_trace
    _get_traces = pyro.infer.TraceEnum_ELBO._get_traces

    def __init__(self, num_particles: int = 1, free_bits: float = 0.0):
        super().__init__(num_particles, free_bits)
        self.strict_enumeration_warning = False  # without a site to sum over, this is still a bound

    def terms_of(self, model_trace: Trace, guide_trace: Trace) -> ElboTerms:
        self._check(model_trace, guide_trace)
        log_weight: Tensor | float = 0.0
        for _, site in sample_sites(guide_trace, None):
            if "_enumerate_dim" in site["infer"]:
                # the distribution's own probability, without the site's scale and mask
                log_weight = log_weight + site["unscaled_log_prob"]
            else:
                check_fully_reparametrized(site)
        weight = torch.as_tensor(log_weight).exp()

        def mean(trace: Trace, observed: bool | None = False) -> Tensor:
            total = sum(counted(site, site["unscaled_log_prob"]) for _, site in sample_sites(trace, observed))
            weighted = weight * total
            # The dimensions left of the plates of images and particles are enumeration.
            plates = weighted.shape[-int(self.max_plate_nesting) :]
            return weighted.reshape(-1, *plates).sum(0)

        return ElboTerms(mean(model_trace, observed=True), mean(model_trace), mean(guide_trace, None))

    def _check(self, model_trace: Trace, guide_trace: Trace) -> None:
        drawn = dict(sample_sites(guide_trace))
        for name, _ in sample_sites(model_trace):
            if name not in drawn:
                raise InputError(f"TraceEnum_ELBO sums over sites of the guide, and the guide has no site {name!r}")
        for trace in (model_trace, guide_trace):
            for name, site in sample_sites(trace, None):
                if is_shared(site):
                    raise InputError(
                        f"TraceEnum_ELBO takes no site that the images share, such as {name!r}: Trace_ELBO does"
                    )
                if any(f.vectorized and f.dim < -self.max_plate_nesting for f in site["cond_indep_stack"]):
                    raise InputError(
                        f"TraceEnum_ELBO has one plate, of the images, and site {name!r} lies in another: make the"
                        " dimension of that plate part of the event, by to_event"
                    )

    def bound_of(self, log_weight: Tensor) -> Tensor:
        return log_weight.mean(-2)

    def surrogate(self, model_trace: Trace, guide_trace: Trace, terms: ElboTerms) -> Tensor:
        # All samples carry a gradient, so the bound itself is differentiated.
        return self.bound_of(self.log_weight(terms)).sum()
