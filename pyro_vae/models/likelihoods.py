"""p(x | decoder output): what the decoder's numbers mean."""

from abc import ABC, abstractmethod
from math import log
from typing import Literal

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyro_vae.models import continuous_bernoulli


class Likelihood(nn.Module, ABC):
    """From the decoder's output to a distribution over images.

    Args:
        image_shape: channels, height, width.
    """

    #: the values a pixel may take, inclusive; None where any number will do
    pixel_range: tuple[float, float] | None = None
    #: whether images are zeros and ones, so that gray images have to be binarised
    binary: bool = False

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

        A decoder that starts there is spared the learning of the mean image. Burda et al. 2015 start so; without it
        a reproduction of their table ended a nat lower.
        """

    def independent(self, pixels: dist.TorchDistribution) -> dist.TorchDistribution:
        """One distribution over whole images from one over pixels."""
        return pixels.to_event(len(self.image_shape))


def _logit_of_mean(mean_image: Tensor) -> Tensor:
    # A pixel that is black in every training image would start at minus infinity.
    return torch.logit(mean_image.clamp(1e-3, 1 - 1e-3))


class Bernoulli(Likelihood):
    """Binary pixels; the decoder's output is the logit of each being 1 (AEVB, Appendix C.1).

    Data are zeros and ones: gray images are binarised afresh at every draw (dynamic binarisation).
    """

    pixel_range = (0.0, 1.0)
    binary = True

    def forward(self, output: Tensor) -> dist.TorchDistribution:
        # Values strictly between 0 and 1 reach this only with --binarize none, and the run says so.
        return self.independent(dist.Bernoulli(logits=output, validate_args=False))

    def initial_output(self, mean_image: Tensor) -> Tensor:
        return _logit_of_mean(mean_image)


class ContinuousBernoulli(Likelihood):
    """Gray values in [0, 1] with a proper density (Loaiza-Ganem & Cunningham 2019), nats per image of unit pixels."""

    pixel_range = (0.0, 1.0)

    def forward(self, output: Tensor) -> dist.TorchDistribution:
        return self.independent(continuous_bernoulli.ContinuousBernoulli(logits=output, validate_args=False))

    def initial_output(self, mean_image: Tensor) -> Tensor:
        return continuous_bernoulli.logit_of_mean(mean_image)


class Gaussian(Likelihood):
    """Normal pixels, a density in units of the pixel values as they are given (images of 8 bits: [0, 1]).

    Args:
        image_shape: channels, height, width.
        scale: a number fixes the standard deviation; "learned" learns one for all pixels; "decoded" lets the decoder
            give one for each pixel of each image, as AEVB does (Appendix C.2).
        squash: means go through a sigmoid into (0, 1), as in AEVB's Frey Faces.
        min_scale: a learned or decoded standard deviation never falls below it. A density has no upper bound, so the
            floor is part of the result.

    Raises:
        ValueError: where ``scale`` or ``min_scale`` is not positive.
    """

    def __init__(
        self,
        image_shape: tuple[int, ...],
        scale: float | Literal["learned", "decoded"] = "learned",
        squash: bool = True,
        min_scale: float = 0.01,
    ):
        super().__init__(image_shape)
        if (not isinstance(scale, str) and scale <= 0) or min_scale <= 0:
            raise ValueError(f"scale and min_scale must be positive, not {scale} and {min_scale}")
        self.decoded = scale == "decoded"
        self.squash = squash
        self.min_scale = 0.0 if not isinstance(scale, str) else min_scale
        start = 0.1 if isinstance(scale, str) else scale
        if scale == "learned":
            self.log_scale = nn.Parameter(torch.tensor(log(start)))
        elif scale != "decoded":
            self.register_buffer("log_scale", torch.tensor(log(start)))
        self.pixel_range = (0.0, 1.0) if squash else None

    @property
    def output_shape(self) -> tuple[int, ...]:
        channels, *rest = self.image_shape
        return (2 * channels, *rest) if self.decoded else self.image_shape

    @property
    def scale(self) -> Tensor:
        """The standard deviation of all pixels, a scalar; not there when it is decoded."""
        return self.log_scale.exp() + self.min_scale

    def forward(self, output: Tensor) -> dist.TorchDistribution:
        if self.decoded:
            mean, log_variance = output.chunk(2, dim=-len(self.image_shape))
            scale = (log_variance / 2).exp() + self.min_scale
        else:
            mean, scale = output, self.scale
        return self.independent(dist.Normal(mean.sigmoid() if self.squash else mean, scale))

    def initial_output(self, mean_image: Tensor) -> Tensor:
        mean = _logit_of_mean(mean_image) if self.squash else mean_image
        if not self.decoded:
            return mean
        return torch.cat([mean, torch.full_like(mean, 2 * log(0.1))], dim=-len(self.image_shape))
