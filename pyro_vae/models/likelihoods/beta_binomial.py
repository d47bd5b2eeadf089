"""The likelihood of gray levels as counts."""

from math import log
from typing import Literal

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyro_vae.distributions import levels as on_levels
from pyro_vae.models.likelihoods.base import logit_of_mean
from pyro_vae.models.likelihoods.leveled import Leveled, both

MOST = 1000.0  #: of the concentration: nearly binomial up to 256 levels


class BetaBinomial(Leveled):
    """Gray levels as counts of successes, whose probability has a beta distribution around the decoder's mean.

    A high concentration makes it binomial; one below 2 puts most of its mass on black and white.

    Args:
        image_shape: channels, height, width.
        levels: the number of values of a pixel, evenly spaced from 0 to 1; by default those of the data.
        concentration: "learned" learns one for all pixels; "decoded" lets the decoder give one for each pixel of each
            image.
    """

    def __init__(
        self,
        image_shape: tuple[int, ...],
        levels: int | None = None,
        concentration: Literal["learned", "decoded"] = "learned",
    ):
        super().__init__(image_shape, levels)
        self.decoded = concentration == "decoded"
        self.start = 4.0
        if not self.decoded:
            self.log_concentration = nn.Parameter(torch.tensor(log(self.start)))

    @property
    def output_shape(self) -> tuple[int, ...]:
        channels, *rest = self.image_shape
        return (2 * channels, *rest) if self.decoded else self.image_shape

    def forward(self, output: Tensor) -> dist.TorchDistribution:
        assert self.levels is not None
        both_parts = both(output, len(self.image_shape)) if self.decoded else (output, self.log_concentration)
        logit, log_concentration = both_parts
        concentration = log_concentration.exp().clamp(1e-2, MOST)
        alpha, beta = (concentration * torch.sigmoid(sign * logit) + 1e-6 for sign in (1, -1))
        return self.independent(on_levels.BetaBinomial(self.levels, alpha, beta))

    def initial_output(self, mean_image: Tensor) -> Tensor:
        logit = logit_of_mean(mean_image)
        if not self.decoded:
            return logit
        return torch.cat([logit, torch.full_like(logit, log(self.start))], -len(self.image_shape))
