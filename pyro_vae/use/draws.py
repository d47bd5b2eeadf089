"""Draws of z for images, from the run's own posterior or a better one."""

from pathlib import Path
from typing import Any

import torch

from pyro_vae.better import EFFECTIVE, Which, repaired
from pyro_vae.encoding import encode
from pyro_vae.runs import Run
from pyro_vae.use.opened import BATCH, opened


@torch.no_grad()
def posterior_draws(
    run: Run | Path | str, x: Any, num_samples: int = 500, which: Which = "exact", seed: int = 0, trust: bool = False
) -> Any:
    """Draws of z for images: from p(z|x) itself, from the family's best q, or from the encoder's q.

    "exact" draws come from annealed chains (:func:`pyro_vae.estimators.posterior`), are worth at least ``num_samples``
    independent ones where the chains allow, and are resampled to have no weights. "optimised" draws come from the
    guide's family at the variational parameters that are best for each image
    (:func:`pyro_vae.estimators.optimize_posterior`), "amortized" ones from those that the encoder gives.

    Args:
        run: a run folder, or what :func:`pyro_vae.load` gave back.
        x: images ``(N, *image_shape)``, as :func:`pyro_vae.features` takes them. The posterior is that of a binary
            likelihood at these pixels: binarise gray images first, where training did.
        num_samples: for each image.
        which: "exact", "optimised" or "amortized".
        seed: of the draws.
        trust: as for :func:`pyro_vae.load`, of a run folder.

    Returns:
        ``(num_samples, N, latent_dim)``: an array (float32) for an array, a tensor on the device of ``x`` for a tensor.

    Raises:
        InputError: where ``x`` does not fit the run, the model needs labels, or these draws cannot be had.

    >>> z = posterior_draws("runs/digits", images)                   # doctest: +SKIP
    >>> features = z.mean(0)                                         # doctest: +SKIP
    """
    run, source = opened(run, x, num_samples, trust)
    guide: Any = repaired(run.model, run.guide, which, max(EFFECTIVE, num_samples))
    return encode(run.model, guide, source, "samples", num_samples, BATCH, seed)
