"""What the tests of the families build."""

from typing import Any

import torch
from torch import Tensor

import guides
from guides import GUIDES, Encoder, MLPEncoder
from pyro_vae.models import Gaussian, LinearDecoder, LinearGaussian, StandardNormal

SHAPE = (1, 2, 3)


WITH_DENSITY = [name for name, guide in GUIDES.items() if guide.has_density]


class Flat(Encoder):
    """The image itself: a linear head on it holds the exact posterior mean of a linear model."""

    def __init__(self) -> None:
        super().__init__()
        self.out_features = 6

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def linear_gaussian() -> LinearGaussian:
    torch.manual_seed(0)
    model = LinearGaussian(LinearDecoder(4, SHAPE), Gaussian(SHAPE, scale=1.0, squash=False), StandardNormal(4))
    with torch.no_grad():
        model.decoder.output.weight.copy_(0.8 * torch.randn(6, 4))
        model.decoder.output.bias.zero_()
    return model.requires_grad_(False)


def build(name: str, latent_dim: int, /, **options: Any) -> guides.Guide:
    torch.manual_seed(0)
    return GUIDES[name](MLPEncoder(SHAPE, [8]), latent_dim, **options)
