"""Why two arms differ: where a difference in ELBO comes from, on the images that have an inference gap.

ELBO = log p(x) - approximation gap - amortization gap, image by image, so a difference of two arms' ELBOs is the sum
of three: of their models' log p(x), of what their families cannot express, and of what their encoders lose.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from pyro_vae.compare.results import Result
from pyro_vae.compare.statistics import Interval, differences

PARTS = ("inference_gap", "approximation_gap", "amortization_gap")


class Source(NamedTuple):
    """The parts of a difference in ELBO, over seeds and the images that have a gap, nats per image.

    Attributes:
        elbo: the difference on these images; the sum of the others.
        model: by log p(x).
        family: by the approximation gap; above 0 where this arm's family loses less.
        encoder: by the amortization gap; above 0 where this arm's encoder loses less.
    """

    elbo: Interval
    model: Interval
    family: Interval
    encoder: Interval

    @property
    def images(self) -> int:
        """How many images."""
        return self.elbo.images

    @property
    def seeds(self) -> int:
        """How many seeds."""
        return self.elbo.seeds


def sources(by_arm: Mapping[str, Mapping[int, Result]], base: str, confidence: float) -> dict[str, Source]:
    """The parts of each arm's difference to one arm; without arms whose gap was not measured, for a seed of its.

    Args:
        by_arm: for each arm its results, by seed.
        base: the arm that differences are taken to.
        confidence: with which the intervals of one part hold all together.
    """
    parts = {
        arm: {seed: _parts(result) for seed, result in runs.items() if _has_gap(result)} for arm, runs in by_arm.items()
    }
    if not parts.get(base):
        return {}
    found = [
        differences({arm: {seed: of[i] for seed, of in runs.items()} for arm, runs in parts.items()}, base, confidence)
        for i in range(len(Source._fields))
    ]
    return {arm: Source(*(of_part[arm] for of_part in found)) for arm in found[0]}


def _has_gap(result: Result) -> bool:
    return all(name in result.per_image for name in ("elbo", *PARTS))


def _parts(result: Result) -> np.ndarray:
    """ELBO, log p(x), and the two gaps as losses, of each image of the gap, ``(4, images)``."""
    gap, family, encoder = (result.per_image[name] for name in PARTS)
    elbo = result.per_image["elbo"][: len(gap)]
    return np.stack([elbo, elbo + gap, -family, -encoder])
