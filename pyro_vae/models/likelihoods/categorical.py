"""The likelihood of gray levels with a mass of its own for each."""

from math import lgamma

import pyro.distributions as dist
import torch
from torch import Tensor

from pyro_vae.distributions.levels import CategoricalLevels
from pyro_vae.models.likelihoods.leveled import Leveled


class Categorical(Leveled):
    """Gray levels without an order: the decoder gives each pixel a logit for each level.

    Args:
        image_shape: channels, height, width.
        levels: the number of values of a pixel, evenly spaced from 0 to 1; by default those of the data.
    """

    most_levels = 1024

    @property
    def output_shape(self) -> tuple[int, ...]:
        channels, *rest = self.image_shape
        assert self.levels is not None
        return (self.levels * channels, *rest)

    def forward(self, output: Tensor) -> dist.TorchDistribution:
        at = output.dim() - len(self.image_shape)
        logits = output.unflatten(at, (-1, self.image_shape[0])).movedim(at, 0)
        return self.independent(CategoricalLevels(logits))

    def initial_output(self, mean_image: Tensor) -> Tensor:
        """The logits of a binomial distribution with the mean of each pixel."""
        assert self.levels is not None
        n = self.levels - 1
        mean = mean_image.clamp(1e-3, 1 - 1e-3)
        ways = mean.new_tensor([lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) for k in range(n + 1)])
        k = torch.arange(n + 1, dtype=mean.dtype, device=mean.device)
        logits = ways + k * torch.logit(mean)[..., None]
        return logits.movedim(-1, 0).flatten(0, 1)
