"""The likelihood of pixels with normal noise."""

from math import log
from typing import Literal

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyro_vae.models.likelihoods.base import Likelihood, logit_of_mean


class Gaussian(Likelihood):
    """Normal pixels, a density in units of the pixel values (images of 8 bits: [0, 1]).

    Args:
        image_shape: channels, height, width.
        scale: a number fixes the standard deviation; "learned" learns one for all pixels; "decoded" lets the decoder
            give one for each pixel of each image, as AEVB does (Appendix C.2).
        squash: means go through a sigmoid into (0, 1), as in AEVB's Frey Faces.
        min_scale: a learned or decoded standard deviation never falls below it. A density has no upper bound, so the
            floor is part of the result.

    Raises:
        ValueError: if ``scale`` or ``min_scale`` is not positive.
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
        """The standard deviation of all pixels, a scalar; not defined if the scale is decoded."""
        return self.log_scale.exp() + self.min_scale

    def forward(self, output: Tensor) -> dist.TorchDistribution:
        if self.decoded:
            mean, log_variance = output.chunk(2, dim=-len(self.image_shape))
            scale = (log_variance / 2).exp() + self.min_scale
        else:
            mean, scale = output, self.scale
        return self.independent(dist.Normal(mean.sigmoid() if self.squash else mean, scale))

    def initial_output(self, mean_image: Tensor) -> Tensor:
        mean = logit_of_mean(mean_image) if self.squash else mean_image
        if not self.decoded:
            return mean
        return torch.cat([mean, torch.full_like(mean, 2 * log(0.1))], dim=-len(self.image_shape))
