"""The likelihood of gray pixels in [0, 1]."""

import pyro.distributions as dist
from torch import Tensor

from pyro_vae.distributions import continuous_bernoulli
from pyro_vae.models.likelihoods.base import Likelihood


class ContinuousBernoulli(Likelihood):
    """Gray values in [0, 1] with a proper density (Loaiza-Ganem & Cunningham 2019), nats per image of unit pixels."""

    pixel_range = (0.0, 1.0)

    def forward(self, output: Tensor) -> dist.TorchDistribution:
        return self.independent(continuous_bernoulli.ContinuousBernoulli(logits=output, validate_args=False))

    def initial_output(self, mean_image: Tensor) -> Tensor:
        return continuous_bernoulli.logit_of_mean(mean_image)
