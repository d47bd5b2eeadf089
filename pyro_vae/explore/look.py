"""One image under one run: q(z|x) beside the true posterior, and the numbers of this very image.

Each number is that of a public function with the settings named here and seed 0, so that Python gives the same.
"""

from dataclasses import dataclass, replace
from math import hypot

import torch
from torch import Tensor

from pyro_vae.engine.precision import exact
from pyro_vae.estimators import Estimate, NotDefined, elbo, importance, log_evidence, posterior
from pyro_vae.estimators.grid import PosteriorGrid, posterior_grid
from pyro_vae.estimators.sampling import posterior_draws
from pyro_vae.explore.opened import Opened
from pyro_vae.use import reconstruct

ELBO_DRAWS = 1000  #: of z, for the ELBO of one image
K_HAT_DRAWS = 2000  #: of z, for its k-hat
SHOWN_DRAWS = 1000  #: of q and of the true posterior, where they are known by draws
RECONSTRUCTION_DRAWS = 100  #: whose decoded images are averaged
POINTS = 200  #: of the grid along each side, in two dimensions


@dataclass(frozen=True)
class Own:
    """What the guide says of an image.

    Attributes:
        elbo: None where the guide has no density; so is ``k_hat``.
        why: then, the reason.
        reconstruction: the mean of E[x'|z] over q, ``(1, C, H, W)``.
        code: the mean of q, ``(D,)``.
    """

    elbo: Estimate | None
    k_hat: Estimate | None
    why: str
    reconstruction: Tensor
    code: Tensor


@torch.no_grad()
def own(opened: Opened, x: Tensor) -> Own:
    """The ELBO, k-hat and reconstruction of one image ``(1, C, H, W)``, as the model sees it."""
    run = opened.run
    with exact(x.device):
        code = posterior_draws(run.guide, x, SHOWN_DRAWS).mean(0)[0]
        again = reconstruct(run, x, num_samples=RECONSTRUCTION_DRAWS)
        try:
            bound = elbo(run.model, run.guide, x, ELBO_DRAWS).elbo
            k_hat = importance(run.model, run.guide, x, K_HAT_DRAWS).k_hat
        except NotDefined as reason:
            return Own(None, None, str(reason), again, code)
    return Own(bound, k_hat, "", again, code)


def evidence(opened: Opened, x: Tensor) -> Estimate:
    """log p(x) of one image ``(1, C, H, W)``: by a grid where z has two dimensions, else annealed.

    The ``sampling_error`` of the grid's is its change from half as many points along each side.
    """
    model, guide = opened.run.model, opened.run.guide
    with exact(x.device):
        if (grid := grid_of(opened, x)) is not None:
            value = grid.log_evidence
            coarse = posterior_grid(model, x[0], POINTS // 2).log_evidence
            how = f"grid of {POINTS} x {POINTS} points; its error is the change from {POINTS // 2} x {POINTS // 2}"
            return Estimate.over(value[None], how, POINTS**2, sampling_deviation=(value - coarse).abs()[None])
        return log_evidence(model, guide, x)


def grid_of(opened: Opened, x: Tensor) -> PosteriorGrid | None:
    """The true posterior of one image on a grid; None where z has other than 2 dimensions, or it leaves the grid."""
    if opened.run.model.latent_dim != 2:
        return None
    with exact(x.device):
        grid = posterior_grid(opened.run.model, x[0], POINTS)
    return grid if grid.inside else None


def gap(evidence: Estimate, bound: Estimate) -> Estimate:
    """log p(x) less the ELBO of one image, which is KL(q || p(z|x)); its errors are those of both."""
    errors = [one.sampling_error or 0.0 for one in (evidence, bound)]
    found = replace(bound, value=evidence.value - bound.value, sampling_error=hypot(*errors), bound=None)
    return replace(found, estimator=f"{evidence.estimator}, less the ELBO", per_image=None, per_image_error=None)


@torch.no_grad()
def true_draws(opened: Opened, x: Tensor) -> Tensor:
    """Draws of the true posterior of one image by annealed chains, without weights, ``(S, D)``."""
    with exact(x.device):
        return posterior(opened.run.model, opened.run.guide, x).resampled(SHOWN_DRAWS)[:, 0]


@torch.no_grad()
def own_draws(opened: Opened, x: Tensor) -> Tensor:
    """Draws of q(z|x) of one image, ``(S, D)``."""
    with exact(x.device):
        return posterior_draws(opened.run.guide, x, SHOWN_DRAWS)[:, 0]
