"""p(x | decoder output): what the decoder's numbers mean."""

from abc import ABC, abstractmethod

import pyro.distributions as dist
import torch
from torch import Tensor, nn


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
        """One distribution over whole images from one over pixels."""
        return pixels.to_event(len(self.image_shape))


def logit_of_mean(mean_image: Tensor) -> Tensor:
    """The logit of a mean image, finite even if a pixel is black in every training image."""
    return torch.logit(mean_image.clamp(1e-3, 1 - 1e-3))
