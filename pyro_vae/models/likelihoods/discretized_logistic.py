"""The likelihood of gray levels as a rounded logistic variable."""

from math import log
from typing import Literal

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyro_vae.distributions import levels as on_levels
from pyro_vae.models.likelihoods.leveled import Leveled, both


class DiscretizedLogistic(Leveled):
    """Gray levels as a logistic variable that is rounded to them (Kingma et al. 2016, appendix A).

    The decoder gives the location, in units of pixels from 0 to 1; it may lie outside.

    Args:
        image_shape: channels, height, width.
        levels: the number of values of a pixel, evenly spaced from 0 to 1; by default those of the data.
        scale: "learned" learns one scale for each channel, as the paper does; "decoded" lets the decoder give one for
            each pixel of each image.
    """

    def __init__(
        self,
        image_shape: tuple[int, ...],
        levels: int | None = None,
        scale: Literal["learned", "decoded"] = "learned",
    ):
        super().__init__(image_shape, levels)
        self.decoded = scale == "decoded"
        self.start = 0.1
        if not self.decoded:
            self.log_scale = nn.Parameter(torch.full((image_shape[0], *[1] * (len(image_shape) - 1)), log(self.start)))

    @property
    def output_shape(self) -> tuple[int, ...]:
        channels, *rest = self.image_shape
        return (2 * channels, *rest) if self.decoded else self.image_shape

    def forward(self, output: Tensor) -> dist.TorchDistribution:
        location, log_scale = both(output, len(self.image_shape)) if self.decoded else (output, self.log_scale)
        assert self.levels is not None
        # A mass is at most 1, so no scale is too small but for the rounding of numbers.
        scale = log_scale.exp() + 0.01 / (self.levels - 1)
        return self.independent(on_levels.DiscretizedLogistic(self.levels, location, scale))

    def initial_output(self, mean_image: Tensor) -> Tensor:
        """The locations, by bisection: rounding beyond 0 and 1 moves the mean."""
        mean = mean_image.clamp(1e-3, 1 - 1e-3).double()
        low, high = torch.full_like(mean, -3.0), torch.full_like(mean, 4.0)
        log_start = torch.full_like(mean, log(self.start))
        for _ in range(60):
            middle = (low + high) / 2
            at = torch.cat([middle, log_start], -len(self.image_shape)) if self.decoded else middle
            below = self(at).mean < mean
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        start = torch.cat([low, log_start], -len(self.image_shape)) if self.decoded else low
        return start.to(mean_image.dtype).detach()
