"""The likelihood of binary pixels."""

import pyro.distributions as dist
from torch import Tensor

from pyro_vae.models.likelihoods.base import Likelihood, logit_of_mean


class Bernoulli(Likelihood):
    """Binary pixels; the decoder's output is the logit of each being 1 (AEVB, Appendix C.1).

    Data are zeros and ones: gray images are binarised afresh at every draw (dynamic binarisation).
    """

    pixel_range = (0.0, 1.0)
    binary = True
    levels = 2

    def forward(self, output: Tensor) -> dist.TorchDistribution:
        # Values strictly between 0 and 1 occur only with --binarize none, and the run warns of them.
        return self.independent(dist.Bernoulli(logits=output, validate_args=False))

    def initial_output(self, mean_image: Tensor) -> Tensor:
        return logit_of_mean(mean_image)
