"""The linear decoder."""

from math import prod

import torch
from torch import Tensor, nn

from pyro_vae.models.decoders.base import Decoder


class LinearDecoder(Decoder):
    """Wz + b: the decoder of probabilistic PCA and factor analysis."""

    def __init__(self, latent_dim: int, output_shape: tuple[int, ...]):
        super().__init__(latent_dim, output_shape)
        self.output = nn.Linear(latent_dim, prod(output_shape))

    def forward(self, z: Tensor) -> Tensor:
        return self.output(z).unflatten(-1, self.output_shape)

    def start_at(self, output: Tensor) -> None:
        with torch.no_grad():
            self.output.bias.copy_(output.flatten())
