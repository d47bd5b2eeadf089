"""Predictive checks: are the images that the model draws like the data, in what a test quantity looks at?

A test quantity T is a number of each image. The prior predictive check ranks T of a data image among images drawn from
the model; the posterior predictive check, among images drawn from the decoder at draws of q(z|x) for that very image.
Where values of an image are missing (NaN), the same values are taken out of the images that are drawn for it.
"""

from collections.abc import Callable, Mapping
from math import prod
from typing import NamedTuple

import pyro
import torch
from pyro import poutine
from torch import Tensor, nn

from pyro_vae.estimators.estimate import Estimate
from pyro_vae.estimators.ranks import ranked
from pyro_vae.estimators.sampling import NotDefined, images_at_once, simulate
from pyro_vae.estimators.uniformity import RankTest, rank_test
from pyro_vae.seeds import batch_seed, batches, seeded

ImageQuantity = Callable[[Tensor], Tensor]  #: images ``(N, *image_shape)`` to numbers ``(N,)``
TAIL = 0.1  #: the share of data that lies outside the central 90 % of what is drawn, where all is well


def mean_of_pixels(x: Tensor) -> Tensor:
    """How bright an image is, over the pixels that are not missing (NaN), ``(N,)``."""
    return _mean_of_seen(x.double())


def spread_of_pixels(x: Tensor) -> Tensor:
    """The standard deviation of an image's pixels that are not missing, its contrast, ``(N,)``; NaN of one pixel."""
    values = x.double().reshape(len(x), -1)
    if values.shape[1] > 1 and not values.isnan().any():
        return values.std(-1)
    count = (~values.isnan()).sum(-1)
    square = (values - _mean_of_seen(values)[:, None]).square().nansum(-1)
    return torch.where(count > 1, square / (count - 1), torch.nan).sqrt()


def roughness(x: Tensor) -> Tensor:
    """The mean absolute difference of pixels side by side, ``(N,)``: a decoder without local structure is too rough.

    Pairs with a missing pixel are left out; NaN where there is no pair.
    """
    rows = x.double() if x.dim() > 1 else x.double()[:, None]
    return _mean_of_seen(rows.diff(dim=-1).abs())


def _mean_of_seen(values: Tensor) -> Tensor:
    values = values.reshape(len(values), prod(values.shape[1:]))
    return values.nanmean(-1) if values.isnan().any() else values.mean(-1)


QUANTITIES: dict[str, ImageQuantity] = {
    "mean of pixels": mean_of_pixels,
    "spread of pixels": spread_of_pixels,
    "roughness": roughness,
}
ROW_QUANTITIES = ("mean of columns", "spread of columns")  #: the names of :func:`row_quantities`


def row_quantities(rows: Tensor) -> dict[str, ImageQuantity]:
    """Quantities of a row of a table whose columns have units of their own: each column is first standardised.

    The mean over columns is wide where columns rise together; their spread is large in a row that is unusual in some of
    them, and of one column there is none. What a column looks like by itself is in the pictures of the columns.

    Args:
        rows: ``(N, *shape)``, whose mean and standard deviation of each column standardise it; NaN is missing.
    """
    count = (~rows.isnan()).sum(0).clamp(min=1)
    centre = rows.double().nansum(0) / count
    square = (rows.double() - centre).square().nansum(0) / count
    scale = torch.where(square > 0, square.sqrt(), 1.0)

    def of(quantity: ImageQuantity) -> ImageQuantity:
        return lambda x: quantity((x.double() - centre) / scale)

    mean, spread = ROW_QUANTITIES
    found = {mean: of(mean_of_pixels), spread: of(spread_of_pixels)}
    return found if prod(rows.shape[1:]) > 1 else {mean: found[mean]}


class PredictiveCheck(NamedTuple):
    """Test quantities of data images among those of images that were drawn.

    Attributes:
        test: the ranks of the data. Of a prior predictive check they are uniform where the data are the model's; of a
            posterior predictive check they are heaped in the middle even then, since q has seen the image, and its
            p-values are not to be read.
        outside: of each quantity, the share of images outside the central 90 % of what is drawn; 0.1 where the data are
            the model's, and less than that after q has seen them.
    """

    test: RankTest
    outside: tuple[Estimate, ...]


@torch.no_grad()
def prior_check(
    model: nn.Module,
    x: Tensor,
    quantities: Mapping[str, ImageQuantity] = QUANTITIES,
    num_samples: int = 99,
    seed: int = 0,
) -> PredictiveCheck:
    """The prior predictive check: data among images that the model draws, new ones for each image.

    Args:
        x: images of the data ``(N, *image_shape)``.
        quantities: by name, functions of images.
        num_samples: images drawn for each, L; with L + 1 a multiple of 20, the central 90 % are exact.
        seed: of the draws.

    References:
        Box 1980, Sampling and Bayes' Inference in Scientific Modelling and Robustness.
    """
    return _check(x, quantities, num_samples, seed, "the model's images", lambda part, n: _prior_images(model, part, n))


@torch.no_grad()
def posterior_check(
    model: nn.Module,
    guide: nn.Module,
    x: Tensor,
    quantities: Mapping[str, ImageQuantity] = QUANTITIES,
    num_samples: int = 99,
    seed: int = 0,
) -> PredictiveCheck:
    """The posterior predictive check: each image among images drawn from p(x'|z) at draws z of q(z|x).

    Args:
        x: images of the data ``(N, *image_shape)``.
        quantities, num_samples, seed: as for :func:`prior_check`.

    Raises:
        NotDefined: where the model cannot draw images.

    References:
        Gelman, Meng & Stern 1996, Posterior Predictive Assessment of Model Fitness via Realized Discrepancies.
    """

    def images(part: Tensor, count: int) -> Tensor:
        with pyro.plate("samples", count, dim=-2):
            drawn = poutine.trace(guide).get_trace(part)
            found = poutine.trace(poutine.replay(model, trace=drawn)).get_trace(None, len(part)).nodes.get("x")
        if found is None or not isinstance(found["value"], Tensor):
            raise NotDefined(f"a predictive check draws images, and {type(model).__name__} has no site 'x'")
        return found["value"]

    return _check(x, quantities, num_samples, seed, "images drawn from q(z|x)", images)


def _prior_images(model: nn.Module, x: Tensor, count: int) -> Tensor:
    return simulate(model, count * len(x))[0].unflatten(0, (count, len(x)))


def _check(
    x: Tensor,
    quantities: Mapping[str, ImageQuantity],
    num_samples: int,
    seed: int,
    among: str,
    images: Callable[[Tensor, int], Tensor],
) -> PredictiveCheck:
    parts, size = [], images_at_once(x, num_samples)
    for rows, own_seed in batches(len(x), size, seed):
        part = x[rows]
        with seeded(own_seed), pyro.validation_enabled(False):
            drawn = images(part, num_samples).expand(num_samples, *part.shape)
        if part.is_floating_point() and (missing := part.isnan()).any():  # what is drawn lacks the same values
            drawn = torch.where(missing, torch.nan, drawn)
        columns = []
        for name, quantity in quantities.items():
            own, theirs = quantity(part), quantity(drawn.flatten(0, 1))
            if own.shape != part.shape[:1]:
                raise ValueError(f"{name} gives {tuple(own.shape)} for {len(part)} images, not a number each")
            theirs = theirs.unflatten(0, (num_samples, len(part)))
            undefined = own.isnan() & theirs.isnan().all(0)  # the spread of one pixel, say: a tie
            own, theirs = own.masked_fill(undefined, 0), theirs.masked_fill(undefined, 0)
            columns.append(ranked(own, theirs, batch_seed(seed + 1, rows.start)))
        parts.append(torch.stack(columns, -1))
    test = rank_test(list(quantities), torch.cat(parts), num_samples)
    low = TAIL / 2 * (num_samples + 1)
    extreme = (test.ranks + 0.5 < low) | (test.ranks + 0.5 > num_samples + 1 - low)
    how = f"share of images outside the central {1 - TAIL:.0%} of {among}"
    shares = [Estimate.over(column.double(), how, num_samples, unit="share of images") for column in extreme.T]
    return PredictiveCheck(test, tuple(shares))
