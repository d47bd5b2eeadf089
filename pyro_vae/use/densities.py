"""How likely images are under a run: the ELBO by its own posterior or a better one, or log p(x)."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from guides import Guide
from pyro_vae.better import Which, repaired
from pyro_vae.estimators import bounds_at, elbo, log_evidence, optimize_posterior
from pyro_vae.models import Model
from pyro_vae.runs import Run
from pyro_vae.use.opened import by_batches, opened


@torch.no_grad()
def anomaly_scores(
    run: Run | Path | str,
    x: Any,
    posterior: Which = "amortized",
    num_samples: int = 100,
    seed: int = 0,
    trust: bool = False,
) -> Any:
    """How unlike the training images each image is, nats: higher is more so.

    "amortized" is minus the ELBO, which also counts how bad the encoder's q is at an image that it has never seen the
    like of; "optimised" is minus the ELBO at the family's best q for each image; "exact" is -log p(x), annealed.

    Args:
        run, x, seed, trust: as for :func:`posterior_draws`.
        posterior: "amortized", "optimised" or "exact".
        num_samples: draws of z for each image, of an ELBO; "exact" anneals chains instead.

    Returns:
        ``(N,)``: an array for an array, a tensor for a tensor.

    Raises:
        InputError: as for :func:`posterior_draws`, and where the guide has no density, so that there is no ELBO.

    >>> order = anomaly_scores("runs/digits", images, "exact").argsort()[::-1]   # doctest: +SKIP
    """
    run, source = opened(run, x, num_samples, trust)

    def scores(images: Tensor, of_batch: int) -> Tensor:
        return -log_densities(run.model, run.guide, images, posterior, num_samples, of_batch)

    return by_batches(run, source, scores, seed)


@torch.no_grad()
def log_densities(model: Model, guide: Guide, x: Tensor, which: Which, num_samples: int, seed: int) -> Tensor:
    """The ELBO of each image by the guide, its ELBO by the family's best q, or log p(x): ``(N,)``, nats.

    Args:
        x: pixels as the model sees them, ``(N, *image_shape)``.
        which: "amortized", "optimised" or "exact", in this order.
        num_samples: draws of z for an ELBO.
        seed: of the draws.
    """
    repaired(model, guide, which)  # which refuses what there is not
    if which == "exact":
        found = log_evidence(model, guide, x, seed=seed)
    elif which == "optimised":
        with torch.enable_grad():
            lam = optimize_posterior(model, guide, x, seed=seed).lam
        found = bounds_at(model, guide, x, lam, num_samples, seed=seed).elbo
    else:
        found = elbo(model, guide, x, num_samples, seed=seed).elbo
    assert found.per_image is not None
    return found.per_image
