"""p(x | decoder output): what the decoder's numbers mean."""

from abc import ABC, abstractmethod

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyro_vae.distributions.seen import WhereSeen
from pyro_vae.nn import Seen


class Likelihood(nn.Module, ABC):
    """From the decoder's output to a distribution over images.

    Args:
        image_shape: channels, height, width.
    """

    #: the range of a pixel, inclusive; None for any number
    pixel_range: tuple[float, float] | None = None
    #: whether images must be zeros and ones, so that gray images are binarised
    binary: bool = False
    #: how many evenly spaced values from 0 to 1 a pixel has, each with a probability; None for a density
    levels: int | None = None
    #: whether it is made for the columns of a table, and takes what is known of them as ``columns``
    of_columns: bool = False
    #: whether NaN is a missing value, which leaves the density; a run with ``--missing`` sets it
    allows_missing: bool = False
    #: stands in the place of a missing value, and is in the support
    fill: float | Tensor = 0.0

    def __init__(self, image_shape: tuple[int, ...]):
        super().__init__()
        self.image_shape = tuple(image_shape)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of the decoder's output for one image."""
        return self.image_shape

    @abstractmethod
    def forward(self, output: Tensor) -> dist.TorchDistribution:
        """Decoder output ``(..., *output_shape)`` to p(x|z): batch_shape ``(...)``, event_shape ``image_shape``."""

    @abstractmethod
    def initial_output(self, mean_image: Tensor) -> Tensor:
        """The output, of shape ``output_shape``, whose distribution has the mean ``mean_image``.

        A decoder that starts there need not learn the mean image. Burda et al. 2015 start like this; without it, a
        reproduction of their table ended a nat lower.
        """

    def independent(self, pixels: dist.TorchDistribution) -> dist.TorchDistribution:
        """One distribution over whole images from one over pixels; missing pixels leave it, where they are allowed."""
        if self.allows_missing:
            return WhereSeen(pixels, len(self.image_shape), self.fill)
        return pixels.to_event(len(self.image_shape))

    def encoder_inputs(self, mask: bool) -> Seen | None:
        """What stands between images and the encoder; None where nothing does.

        Args:
            mask: whether the encoder is told which values are seen.
        """
        return Seen(self.image_shape, mask) if self.allows_missing else None


def logit_of_mean(mean_image: Tensor) -> Tensor:
    """The logit of a mean image, finite even if a pixel is black in every training image."""
    return torch.logit(mean_image.clamp(1e-3, 1 - 1e-3))
