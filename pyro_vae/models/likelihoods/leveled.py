"""What likelihoods of pixels with few levels share."""

from typing import ClassVar

from torch import Tensor

from pyro_vae.models.likelihoods.base import Likelihood


class Leveled(Likelihood):
    """Pixels with L evenly spaced values from 0 to 1, and a probability for each of them.

    Args:
        image_shape: channels, height, width.
        levels: L; a run reads it from the data if it is not given.

    Raises:
        ValueError: if there are fewer than 2 levels, or more than the likelihood takes, or they are not known.
    """

    pixel_range = (0.0, 1.0)
    most_levels: ClassVar[int] = 65536  #: what the likelihood takes

    def __init__(self, image_shape: tuple[int, ...], levels: int | None = None):
        super().__init__(image_shape)
        name = type(self).__name__
        if levels is None:
            raise ValueError(f"{name} needs the number of levels of a pixel: --likelihood.levels N")
        if not 2 <= levels <= self.most_levels:
            more = ": --likelihood DiscretizedLogistic takes more" if levels > self.most_levels else ""
            raise ValueError(f"{name} takes 2 to {self.most_levels:,} levels, not {levels:,}{more}")
        self.levels = levels


def both(output: Tensor, event_dim: int) -> tuple[Tensor, Tensor]:
    """The two halves of a decoder's channels."""
    first, second = output.chunk(2, dim=-event_dim)
    return first, second
