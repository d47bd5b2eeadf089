"""A number that says how it was obtained."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from math import isfinite, log, sqrt
from typing import Any, Literal
from xml.sax.saxutils import escape, quoteattr

import torch
from torch import Tensor

Bound = Literal["lower", "upper"]


@dataclass(frozen=True, repr=False)
class Estimate:
    """One figure of an evaluation and what is needed to trust it.

    Attributes:
        value: the figure, most often a mean over images.
        standard_error: of ``value`` as a statement about all images like these; None where one image gives none.
        estimator: how it was obtained, in words.
        samples: draws for each image.
        images: how many images.
        bound: "lower" or "upper" where the estimator's expectation is a bound on what is meant and not equal to it.
        sampling_error: how far ``value`` may be off for these very images because the draws are finite, one standard
            deviation about the estimator's own expectation; None where it was not estimated.
        unit: of value and errors; most often nats per image.
        unreliable: the share of images whose weights have a k-hat above 0.7. For these ``sampling_error`` is too small,
            and a bound may be far from what it bounds. None where the figure is no mean of weights.
        per_image: the figure of each image, ``(images,)``, where there is one; not written to JSON.
        per_image_error: how far each may be off because the draws are finite, one standard deviation, ``(images,)``,
            where it was estimated; not written to JSON.
    """

    value: float
    standard_error: float | None
    estimator: str
    samples: int
    images: int
    bound: Bound | None = None
    sampling_error: float | None = None
    unit: str = "nats per image"
    unreliable: float | None = None
    per_image: Tensor | None = field(default=None, repr=False, compare=False)
    per_image_error: Tensor | None = field(default=None, repr=False, compare=False)

    @classmethod
    def over(
        cls,
        per_image: Tensor,
        estimator: str,
        samples: int,
        bound: Bound | None = None,
        sampling_deviation: Tensor | None = None,
        unit: str = "nats per image",
    ) -> "Estimate":
        """The mean over images with its standard error.

        Args:
            per_image: ``(N,)``.
            sampling_deviation: the standard deviation of each image's figure from the finite draws, ``(N,)``.
        """
        figures = per_image.detach().double().cpu()
        n = len(figures)
        errors = None if sampling_deviation is None else sampling_deviation.detach().double().cpu()
        error = None if errors is None else errors.square().sum().sqrt().item() / n
        return cls(
            value=figures.mean().item(),
            standard_error=figures.std().item() / sqrt(n) if n > 1 else None,
            estimator=estimator,
            samples=samples,
            images=n,
            bound=bound,
            sampling_error=error,
            unit=unit,
            per_image=figures,
            per_image_error=errors,
        )

    @classmethod
    def join(cls, parts: Sequence["Estimate"]) -> "Estimate":
        """One estimate over the images of several, which were made in the same way."""
        first = parts[0]
        figures = [p.per_image for p in parts if p.per_image is not None]
        joined = cls.over(torch.cat(figures), first.estimator, first.samples, first.bound, unit=first.unit)
        errors = [p.per_image_error for p in parts if p.per_image_error is not None]
        if len(errors) == len(parts):
            joined = replace(joined, per_image_error=torch.cat(errors))
        sums = [p.sampling_error * p.images for p in parts if p.sampling_error is not None]
        if len(sums) == len(parts):
            joined = replace(joined, sampling_error=sqrt(sum(s**2 for s in sums)) / joined.images)
        shares = [p.unreliable * p.images for p in parts if p.unreliable is not None]
        return replace(joined, unreliable=sum(shares) / joined.images) if len(shares) == len(parts) else joined

    @property
    def caution(self) -> str:
        """What a reader of the value must know of its weights, in words; empty where nothing is known against them."""
        if not self.unreliable:
            return ""
        return f"k-hat above 0.7 for {self.unreliable:.0%} of images: sampling error too small, bound perhaps loose"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a number that is not finite becomes None, since JSON has no word for it."""
        record = {k: v for k, v in asdict(self).items() if not k.startswith("per_image")}
        return {k: None if isinstance(v, float) and not isfinite(v) else v for k, v in record.items()}

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> "Estimate":
        """Back from :meth:`to_dict`; None as a value is NaN again."""
        return cls(**{**record, "value": float("nan") if record["value"] is None else record["value"]})

    def __repr__(self) -> str:
        error = "" if self.standard_error is None else f" +- {self.standard_error:.2g}"
        sign = {"lower": ">= ", "upper": "<= ", None: ""}[self.bound]
        return f"{sign}{self.value:.4g}{error} {self.unit} ({self.samples:,} samples, {self.images:,} images)"

    def _repr_html_(self) -> str:
        return f"<span title={quoteattr(self.estimator)}>{escape(repr(self))}</span>"

    def __str__(self) -> str:
        error = "" if self.standard_error is None else f" ± {self.standard_error:.3g}"
        sign = {"lower": "≥ ", "upper": "≤ ", None: ""}[self.bound]
        return f"{sign}{self.value:.4g}{error}{' !' if self.caution else ''}"


def log_mean(log_sum: Tensor, log_square_sum: Tensor, count: int, largest: Tensor) -> tuple[Tensor, Tensor | None]:
    """log of the mean of ``count`` weights and its standard deviation by the jackknife.

    The delta method's is too small where a few weights have most of the sum, as 8 chains of annealing do. The jackknife
    leaves out each weight in turn. It is exact for the largest weights, and linear in the others.

    Args:
        log_sum: log of the sum of the weights, ``(...)``.
        log_square_sum: log of the sum of their squares, ``(...)``.
        largest: the log weights, or the largest of them, ``(M, ...)``.

    Returns:
        The log mean, and its standard deviation about its expectation; None for one weight, which shows no spread.

    References:
        Efron & Stein 1981, The Jackknife Estimate of Variance.
    """
    mean = log_sum - log(count)
    if count < 2:
        return mean, None
    share = (largest - log_sum).exp()
    rest = (1 - share.sum(0)).clamp(min=0)
    top = share.argmax(0, keepdim=True)
    without_top = share.scatter(0, top, 0.0).sum(0, keepdim=True) + rest
    change = torch.log1p(-share.clamp(max=0.5)).scatter(0, top, without_top.clamp(min=1e-300).log())
    squares_of_rest = ((log_square_sum - 2 * log_sum).exp() - share.square().sum(0)).clamp(min=0)
    sum_of_squares, total = change.square().sum(0) + squares_of_rest, change.sum(0) - rest
    variance = (count - 1) / count * (sum_of_squares - total.square() / count)
    return mean, variance.clamp(min=0).sqrt()
