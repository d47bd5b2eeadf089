"""A trained run put to use, with its own posterior or a better one: draws of z, reconstructions, anomaly scores."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from guides import Guide
from pyro_vae.better import EFFECTIVE, Which, repaired
from pyro_vae.encoding import Source, encode, in_batches, read_images
from pyro_vae.errors import InputError
from pyro_vae.estimators import bounds_at, elbo, log_evidence, optimize_posterior
from pyro_vae.models import VAE, Model
from pyro_vae.runs import Run, load

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
    run, source = _read(run, x, num_samples, trust)
    guide: Any = repaired(run.model, run.guide, which, max(EFFECTIVE, num_samples))
    return encode(run.model, guide, source, "samples", num_samples, BATCH, seed)


@torch.no_grad()
def reconstruct(
    run: Run | Path | str,
    x: Any,
    posterior: Which = "amortized",
    num_samples: int = 100,
    seed: int = 0,
    trust: bool = False,
) -> Any:
    """Reconstructions of images: the mean of E[x'|z] over draws of z from the chosen posterior.

    Args:
        run, x, seed, trust: as for :func:`posterior_draws`.
        posterior: "amortized", "optimised" or "exact".
        num_samples: draws of z for each image.

    Returns:
        ``(N, *image_shape)``, on the scale that the model sees: an array for an array, a tensor for a tensor.

    Raises:
        InputError: as for :func:`posterior_draws`, and where the model has no decoder.

    >>> repaired = reconstruct("runs/digits", images, "exact")       # doctest: +SKIP
    """
    run, source = _read(run, x, num_samples, trust)
    model = run.model
    if not isinstance(model, VAE):
        raise InputError(f"a {type(model).__name__} has no decoder to reconstruct with")
    guide: Any = repaired(model, run.guide, posterior, max(EFFECTIVE, num_samples))

    def means(images: Tensor, of_batch: int) -> Tensor:
        z = encode(model, guide, images, "samples", num_samples, len(images), of_batch)
        total = torch.zeros(len(images), *model.image_shape, device=images.device)
        for part in z.split(10):
            total += model.likelihood(model.decode(part)).mean.sum(0)
        return total / num_samples

    return _in_batches(run, source, means, seed)


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
        num_samples: draws of z for each image, of an ELBO.

    Returns:
        ``(N,)``: an array for an array, a tensor for a tensor.

    Raises:
        InputError: as for :func:`posterior_draws`, and where the guide has no density, so that there is no ELBO.

    >>> order = anomaly_scores("runs/digits", images, "exact").argsort()[::-1]   # doctest: +SKIP
    """
    run, source = _read(run, x, num_samples, trust)

    def scores(images: Tensor, of_batch: int) -> Tensor:
        return -log_densities(run.model, run.guide, images, posterior, num_samples, of_batch)

    return _in_batches(run, source, scores, seed)


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


def _read(run: Run | Path | str, x: Any, num_samples: int, trust: bool) -> tuple[Run, Source]:
    run = load(run, trust=trust) if isinstance(run, Path | str) else run
    if num_samples < 1:
        raise InputError(f"num_samples must be positive, not {num_samples}")
    return run, read_images(x, run)


def _in_batches(run: Run, source: Source, work: Callable[[Tensor, int], Tensor], seed: int) -> Any:
    device = next(run.guide.parameters()).device
    return in_batches(source, device, lambda images, of_batch: work(images, of_batch % 2**31), BATCH, seed)
