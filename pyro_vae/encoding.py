"""The encoder as a feature extractor: moments or samples of q(z|x) for each image.

The module is not called ``features``, because importing it would hide the function ``pyro_vae.features``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from guides import Guide
from pyro_vae.better import EFFECTIVE, Which, repaired
from pyro_vae.build import likelihood_of, sees_binary
from pyro_vae.columns import Column
from pyro_vae.data import images_of
from pyro_vae.data.levels import off_levels
from pyro_vae.data.support import check_rows
from pyro_vae.engine.precision import exact
from pyro_vae.errors import InputError
from pyro_vae.models import Model
from pyro_vae.models.likelihoods.columns import Columns
from pyro_vae.plain import plain
from pyro_vae.runs import Run, load
from pyro_vae.seeds import batches, seeded

Statistic = Literal["mean", "std", "samples"]
LOOKED_AT = 2**14  #: rows of a table that are looked at together


def features(
    run: Run | Path | str,
    x: Any,
    statistic: Statistic = "mean",
    num_samples: int | None = None,
    posterior: Which = "amortized",
    seed: int = 0,
    trust: bool = False,
) -> Any:
    """Posterior means, standard deviations or samples of z for images, by the guide of a run, or by a better posterior.

    Means and standard deviations are exact if the posterior has closed forms (MeanField, FullRank, LowRank, Mixture,
    and Delta, whose mean is the code), otherwise estimated from samples (all flows, Householder included). Gray images
    are not binarised here, even if training did. Whole numbers are read as the training images were: if 8 bits became
    [0, 1] in training, they do here.

    Args:
        run: a run folder, or the result of :func:`pyro_vae.load`.
        x: images ``(N, *image_shape)``, a tensor, an array or other data in memory, as for :func:`pyro_vae.train`:
            stored as the training images were, or floating-point pixels on the scale that training saw.
        statistic: of q(z|x): "mean", "std" (the standard deviation) or "samples".
        num_samples: samples of z for each image; by default 1 for "samples", 256 to estimate a moment.
        posterior: "amortized", the guide's q(z|x); "optimised", its family's best q for each image; "exact", p(z|x)
            itself by annealed chains, whose moments are those of at least 500 draws. The latter two take seconds for
            some tens of images, and take the pixels as they are: binarise gray images first if training did.
        seed: of the samples.
        trust: as for :func:`pyro_vae.load`, of a run folder.

    Returns:
        ``(N, latent_dim)``, or for samples ``(num_samples, N, latent_dim)``: an array (float32) for an array, a tensor
        on the device of ``x`` for a tensor.

    Raises:
        InputError: if ``x`` holds no images, or of another shape or on another scale than the run's, or ``statistic``
            or ``posterior`` is unknown, or ``num_samples`` is not positive, or the model needs labels, or has no such
            posterior.

    >>> z = features("runs/digits", images)                          # doctest: +SKIP
    >>> draws = features("runs/digits", images, "samples", 10)       # doctest: +SKIP
    """
    run = load(run, trust=trust) if isinstance(run, Path | str) else run
    guide: Any = repaired(run.model, run.guide, posterior, max(EFFECTIVE, num_samples or 0))
    return encode(run.model, guide, _of_run(x, run), statistic, num_samples, seed=seed)


@dataclass(frozen=True)
class Source:
    """Images ``(N, ...)`` of a caller, read a batch at a time.

    Attributes:
        images: a tensor or an array, which may be on disk.
        divisor: of the stored numbers.
        low, high: the allowed range of the pixels.
        name: of the images in an error.
        levels: the number of values of a pixel, if the likelihood has so many.
        missing: whether NaN is a missing value.
        columns: of a table, whose kinds say which values there can be; none for images.
    """

    images: Any
    divisor: float = 1.0
    low: float = -math.inf
    high: float = math.inf
    name: str = "x"
    levels: int | None = None
    missing: bool = False
    columns: tuple[Column, ...] = ()

    def batch(self, rows: slice) -> Tensor:
        """The pixels of these rows, float32.

        Raises:
            InputError: if they are on another scale, or no numbers, or a column of a table cannot have one of them.
        """
        part = self.images[rows]
        part = part.detach() if isinstance(part, Tensor) else torch.from_numpy(np.array(part, dtype=np.float32))
        x = part.to(torch.float32)
        x = x if self.divisor == 1 else x / self.divisor
        seen = x[~x.isnan()] if self.missing else x
        if not seen.isfinite().all():
            raise InputError(f"{self.name} holds {'' if self.missing else 'NaN or '}infinite values")
        if not seen.numel():
            return x
        least, most = seen.min().item(), seen.max().item()
        slack = 1e-4 * (self.high - self.low) if math.isfinite(self.high - self.low) else 0.0  # of rounding
        if not self.low - slack <= least <= most <= self.high + slack:
            raise InputError(
                f"{self.name} has pixels from {least:g} to {most:g}, and the run saw them in"
                f" [{self.low:g}, {self.high:g}]:"
                " scale them alike"
            )
        if self.levels is not None and off_levels(x, self.levels):
            raise InputError(
                f"{self.name} has pixels between the {self.levels} levels that the run saw: round them alike"
            )
        if self.columns:
            check_rows(x.flatten(1).numpy(force=True), self.columns, self.name, rows.start or 0)
        return x


def source_of(run: Run, images: Any, divisor: float = 1.0, name: str = "x") -> Source:
    """Images whose stored numbers are divided by ``divisor``, in the range that the run allows."""
    likelihood, stored = likelihood_of(run.model), run.stored
    bounds = (-math.inf, math.inf) if likelihood is None or likelihood.pixel_range is None else likelihood.pixel_range
    if sees_binary(run.config, run.model) or (stored is not None and not stored.dtype.startswith("float")):
        bounds = (0.0, 1.0)
    levels = None if likelihood is None or likelihood.binary else likelihood.levels
    columns = likelihood.columns if isinstance(likelihood, Columns) else ()
    missing = likelihood is not None and likelihood.allows_missing
    return Source(images, divisor, *bounds, name, levels, missing, columns)


def columns_of_run(run: Run) -> tuple[str, ...] | None:
    """The names of the columns of a table; None for a run on images."""
    likelihood = likelihood_of(run.model)
    return tuple(one.name for one in likelihood.columns) if isinstance(likelihood, Columns) else None


def _of_run(x: Any, run: Run) -> Source:
    """Images read as the run's training images were; a source stays what it is.

    Raises:
        InputError: if the scale of their numbers is unknown.
    """
    if isinstance(x, Source):
        return x
    columns = columns_of_run(run)
    images = images_of(x, tuple(run.model.image_shape), columns)
    kind = str(images.dtype).removeprefix("torch.") if isinstance(images, Tensor) else images.dtype.name
    source, stored = source_of(run, images), run.stored
    if columns is not None and ("int" in kind or kind == "bool"):
        return source
    if "float" in kind or (kind == "bool" and (source.low, source.high) == (0.0, 1.0)):
        return source
    if stored is None or kind != stored.dtype:
        known = "" if stored is None else f" {stored.dtype}, as training saw them, or"
        raise InputError(f"x holds {kind}, whose scale is not known: give{known} floating-point pixels")
    return replace(source, divisor=stored.divisor)


def read_images(x: Any, run: Run) -> Source:
    """Images for a run, read as its training images were, and found to fit; a table is looked through as a whole.

    Raises:
        InputError: where there are none, or of another shape than the run's, or the model needs labels, or nothing says
            what their numbers mean, or a column of a table cannot have a value that is there.
    """
    source = _of_run(x, run)
    _check(source, run.model)
    if source.columns:  # before the work, which can be long
        for start in range(0, len(source.images), LOOKED_AT):
            source.batch(slice(start, start + LOOKED_AT))
    return source


def _check(source: Source, model: Model) -> None:
    if model.labels == "required":
        raise InputError(f"{type(model).__name__} has no features of images without their labels")
    expected, shape = tuple(model.image_shape), tuple(source.images.shape)
    if not shape or not shape[0] or shape[1:] != expected:
        raise InputError(
            f"{source.name} must hold at least one image and be of shape (N, {str(expected)[1:-1]}), not {shape}"
        )


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
    """:func:`features` of a model and a guide, of pixels as the model sees them.

    Args:
        guide: a guide, or what :func:`pyro_vae.better.repaired` makes of one.
        x: a :class:`Source`, or a tensor or an array of pixels.
        batch_size: images encoded at once; exact answers do not depend on it.
    """
    likelihood = likelihood_of(model)
    missing = likelihood is not None and likelihood.allows_missing
    source = x if isinstance(x, Source) else Source(x, missing=missing)
    _check(source, model)
    statistic, num_samples, batch_size, seed = plain((statistic, num_samples, batch_size, seed))
    if statistic not in _READERS:
        raise InputError(f"no statistic {statistic!r}; there are {', '.join(_READERS)}")
    read = _READERS[statistic]
    if num_samples is not None and num_samples < 1:
        raise InputError(f"num_samples must be positive, not {num_samples}")
    count = num_samples or (1 if statistic == "samples" else 256)
    device = next(iter((*guide.parameters(), *model.parameters())), torch.empty(0)).device

    def encoded(images: Tensor, _: int) -> Tensor:
        return read(guide.posterior(guide.amortize(images)), count)

    return in_batches(source, device, encoded, batch_size, seed, dim=-2)


def in_batches(
    source: Source, device: torch.device, work: Callable[[Tensor, int], Tensor], size: int, seed: int, dim: int = 0
) -> Any:
    """What ``work`` makes of all images, batch by batch: an array for an array, a tensor where the images are for one.

    Args:
        device: where the work is done.
        work: takes the pixels of a batch and its seed.
        size: images in a batch.
        seed: of all batches together.
        dim: the dimension of the images in what ``work`` returns.
    """
    parts = []
    for rows, of_batch in batches(len(source.images), size, seed):
        with seeded(of_batch), exact(device):
            parts.append(work(source.batch(rows).to(device), of_batch))
    whole = torch.cat(parts, dim=dim)
    return whole.to(source.images.device) if isinstance(source.images, Tensor) else whole.cpu().numpy()


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
