"""The encoder as a feature extractor: what q(z|x) says of images, as numbers to work with.

The module is not called ``features``: a module of that name would hide the function ``pyro_vae.features`` from whoever
imported it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.distributions import Distribution

from guides import Guide
from pyro_vae.engine.precision import exact
from pyro_vae.errors import InputError
from pyro_vae.models import Model
from pyro_vae.runs import Run, load
from pyro_vae.seeds import batch_seed, seeded

Statistic = Literal["mean", "std", "samples"]


def features(
    run: Run | Path | str,
    x: Any,
    statistic: Statistic = "mean",
    num_samples: int | None = None,
    batch_size: int = 1000,
    seed: int = 0,
) -> Any:
    """What the guide of a run says of images: posterior means, standard deviations or samples.

    Means and standard deviations are exact where the posterior knows its own (the Gaussian guides and their mixtures,
    and Delta, whose mean is the code), else estimated from samples. The encoder sees ``x`` as it is given: gray images
    are not binarised here, even where training did.

    Args:
        run: a run folder, or what :func:`pyro_vae.load` gave back.
        x: images ``(N, *image_shape)``, a tensor or an array.
        statistic: "mean", "std" or "samples".
        num_samples: how many samples of z for each image; by default one as the answer, 256 to estimate a moment.
        batch_size: images encoded at once. It changes no exact answer.
        seed: of the samples.

    Returns:
        ``(N, latent_dim)``, or for samples ``(num_samples, N, latent_dim)``: an array (float32) for an array, a tensor
        on the device of ``x`` for a tensor.

    Raises:
        InputError: where ``x`` holds no images, or of another shape than the run's, or ``statistic`` is no such thing,
            or the model needs labels.

    >>> z = features("runs/digits", images)                          # doctest: +SKIP
    >>> draws = features("runs/digits", images, "samples", 10)       # doctest: +SKIP
    """
    model, guide = load(run)[:2] if isinstance(run, Path | str) else run[:2]
    return encode(model, guide, x, statistic, num_samples, batch_size, seed)


@torch.no_grad()
def encode(
    model: Model,
    guide: Guide,
    x: Any,
    statistic: Statistic = "mean",
    num_samples: int | None = None,
    batch_size: int = 1000,
    seed: int = 0,
) -> Any:
    """:func:`features` of a model and a guide."""
    if model.labels == "required":
        raise InputError(f"{type(model).__name__} has no features of images without their labels")
    shape = tuple(model.image_shape)
    if not len(x) or tuple(x.shape[1:]) != shape:
        raise InputError(
            f"x must hold at least one image and be of shape (N, {str(shape)[1:-1]}), not {tuple(x.shape)}"
        )
    if statistic not in _READERS:
        raise InputError(f"no statistic {statistic!r}; there are {', '.join(_READERS)}")
    read = _READERS[statistic]
    count = num_samples or (1 if statistic == "samples" else 256)
    device = next(guide.parameters()).device
    images = torch.as_tensor(x)
    parts = []
    for start, batch in _batches(images, batch_size):
        with seeded(batch_seed(seed, start)), exact(device):
            q = guide.posterior(guide.amortize(batch.to(device, torch.float32)))
            parts.append(read(q, count))
    rows = torch.cat(parts, dim=-2)
    return rows.to(images.device) if isinstance(x, Tensor) else rows.cpu().numpy()


def _batches(images: Tensor, size: int) -> Iterator[tuple[int, Tensor]]:
    return ((start, images[start : start + size]) for start in range(0, len(images), size))


def _draw(q: Distribution, count: int) -> Tensor:
    return q.sample(torch.Size((count,)))


def _mean(q: Distribution, count: int) -> Tensor:
    try:
        return q.mean
    except NotImplementedError:  # a flow
        return _draw(q, count).mean(0)


def _std(q: Distribution, count: int) -> Tensor:
    try:
        return q.variance.sqrt()
    except NotImplementedError:
        return _draw(q, count).std(0)


_READERS: dict[str, Callable[[Distribution, int], Tensor]] = {"mean": _mean, "std": _std, "samples": _draw}
