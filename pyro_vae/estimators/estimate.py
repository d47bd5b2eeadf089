"""A number that says how it was obtained."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from math import isfinite, log, sqrt
from typing import Any, Literal

import torch
from torch import Tensor

Bound = Literal["lower", "upper"]


@dataclass(frozen=True)
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
            deviation; None where it was not estimated.
        unit: of value and errors; most often nats per image.
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
        return joined

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a number that is not finite becomes None, since JSON has no word for it."""
        record = {k: v for k, v in asdict(self).items() if not k.startswith("per_image")}
        return {k: None if isinstance(v, float) and not isfinite(v) else v for k, v in record.items()}

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> "Estimate":
        """Back from :meth:`to_dict`; None as a value is NaN again."""
        return cls(**{**record, "value": float("nan") if record["value"] is None else record["value"]})

    def __str__(self) -> str:
        error = "" if self.standard_error is None else f" ± {self.standard_error:.3g}"
        sign = {"lower": "≥ ", "upper": "≤ ", None: ""}[self.bound]
        return f"{sign}{self.value:.4g}{error}"


def log_mean(log_sum: Tensor, log_square_sum: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """log of the mean of ``count`` weights and its standard deviation by the delta method.

    Args:
        log_sum: log of the sum of the weights, any shape.
        log_square_sum: log of the sum of their squares.
    """
    relative_variance = ((log_square_sum - 2 * log_sum).exp() - 1 / count).clamp(min=0)
    return log_sum - log(count), relative_variance.sqrt()
