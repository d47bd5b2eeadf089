"""Why two arms differ: where a difference in ELBO comes from, on the images that have an inference gap.

ELBO = log p(x) - approximation gap - amortization gap, image by image, so a difference of two arms' ELBOs is the sum
of three: of their models' log p(x), of what their families cannot express, and of what their encoders lose.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from pyro_vae.compare.results import Result

PARTS = ("inference_gap", "approximation_gap", "amortization_gap")


class Source(NamedTuple):
    """The parts of a difference in ELBO, means over seeds and images, nats per image.

    Attributes:
        elbo: the difference on these images; the sum of the others.
        model: by log p(x).
        family: by the approximation gap; above 0 where this arm's family loses less.
        encoder: by the amortization gap; above 0 where this arm's encoder loses less.
        images, seeds: how many.
    """

    elbo: float
    model: float
    family: float
    encoder: float
    images: int
    seeds: int


def sources(ours: Mapping[int, Result], theirs: Mapping[int, Result]) -> Source | None:
    """The parts of the difference of two arms, from their results by seed; None where a gap was not measured."""
    both = [seed for seed in ours if seed in theirs and all(_has_gap(side[seed]) for side in (ours, theirs))]
    if not both:
        return None
    apart = np.mean([_parts(ours[seed]) - _parts(theirs[seed]) for seed in both], axis=0)
    elbo, model, family, encoder = apart.tolist()
    return Source(elbo, model, family, encoder, len(ours[both[0]].per_image["inference_gap"]), len(both))


def _has_gap(result: Result) -> bool:
    return all(name in result.per_image for name in ("elbo", *PARTS))


def _parts(result: Result) -> np.ndarray:
    """ELBO, log p(x), and the two gaps as losses, means over the images of the gap, ``(4,)``."""
    gap, family, encoder = (result.per_image[name].mean() for name in PARTS)
    elbo = result.per_image["elbo"][: len(result.per_image["inference_gap"])].mean()
    return np.array([elbo, elbo + gap, -family, -encoder])
