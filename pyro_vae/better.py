"""Draws of z from better posteriors than the encoder's: the true one, or the best that the guide's family has.

What is made of codes (features, reconstructions, anomaly scores) can be made of these draws instead, where the
encoder's own are what is wrong.
"""

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from pyro_vae.encoding import read_images
from pyro_vae.engine.precision import exact
from pyro_vae.errors import InputError
from pyro_vae.estimators import Draws, NotDefined, optimize_posterior, posterior
from pyro_vae.runs import Run, load
from pyro_vae.seeds import batch_seed, seeded

Which = Literal["amortized", "optimised", "exact"]
BATCH = 250  #: images at once


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
    run = load(run, trust=trust) if isinstance(run, Path | str) else run
    if which not in ("amortized", "optimised", "exact"):
        raise InputError(f"no posterior {which!r}; there are amortized, optimised, exact")
    if num_samples < 1:
        raise InputError(f"num_samples must be positive, not {num_samples}")
    source = read_images(x, run)
    device = next(run.guide.parameters()).device
    parts = []
    for start in range(0, len(source.images), BATCH):
        images = source.batch(slice(start, start + BATCH)).to(device)
        try:
            with exact(device):
                parts.append(_of_batch(run, images, num_samples, which, batch_seed(seed, start) % 2**31))
        except NotDefined as reason:
            raise InputError(f"{which} draws: {reason}") from reason
    z = torch.cat(parts, 1)
    return z.to(source.images.device) if isinstance(source.images, Tensor) else z.cpu().numpy()


def _of_batch(run: Run, x: Tensor, num_samples: int, which: Which, seed: int) -> Tensor:
    if which == "exact":
        found = posterior(run.model, run.guide, x, draws=Draws(effective=num_samples), seed=seed)
        return found.resampled(num_samples, seed)
    if which == "optimised":
        with torch.enable_grad():
            lam = optimize_posterior(run.model, run.guide, x, seed=seed).lam
    else:
        lam = run.guide.amortize(x)
    with seeded(seed):
        return run.guide.posterior(lam).sample(torch.Size([num_samples]))
