"""A linear-Gaussian model and guides whose posteriors are the exact one, moved, widened or narrowed."""

import pyro.distributions as dist
import torch
from torch import Tensor

from guides import Guide, MLPEncoder
from pyro_vae.models import Gaussian, LinearDecoder, LinearGaussian, StandardNormal

SHAPE = (1, 3, 3)


def linear_gaussian(latent_dim: int = 2, scale: float = 0.5, seed: int = 0) -> LinearGaussian:
    """A model with fixed random weights of size about 1/2."""
    model = LinearGaussian(
        LinearDecoder(latent_dim, SHAPE), Gaussian(SHAPE, scale, squash=False), StandardNormal(latent_dim)
    )
    with torch.no_grad():
        generator = torch.Generator().manual_seed(seed)
        model.decoder.output.weight.copy_(torch.randn(9, latent_dim, generator=generator) / 2)
    return model.requires_grad_(False)


class Scaled(Guide):
    """The exact posterior with its standard deviations times a factor; lambda is the mean."""

    def __init__(self, model: LinearGaussian, factor: float = 1.0):
        super().__init__(MLPEncoder(SHAPE, [1]), model.latent_dim, model.latent_dim)
        self.exact = model.exact_posterior
        self.factor = factor

    def amortize(self, x: Tensor) -> Tensor:
        return self.exact(x).mean

    def posterior(self, lam: Tensor) -> dist.TorchDistribution:
        tril = torch.linalg.cholesky(self.exact(torch.zeros(1, *SHAPE)).covariance_matrix[0])
        return dist.MultivariateNormal(lam, scale_tril=self.factor * tril)


class OwnSamplesOnly(Scaled):
    """A guide that says it scores only what it drew."""

    scores_any_z = False


class Point(Scaled):
    """A guide without a density."""

    has_density = False
