"""The decoder of AEVB: fully connected layers."""

from math import prod

import torch
from torch import Tensor, nn

from pyro_vae.models.decoders.base import Decoder
from pyro_vae.nn import Activation, default_widths, hidden_layers


class MLPDecoder(Decoder):
    """Fully connected layers (AEVB, Appendix C).

    Args:
        latent_dim: D.
        output_shape: the shape of the likelihood's parameters for one image.
        hidden_dims: the width of each hidden layer; by default the mirror of those that
            :class:`~guides.encoders.MLPEncoder` chooses for the size of the image. AEVB's is [500].
        activation: the nonlinearity after each hidden layer; AEVB's is tanh.
    """

    def __init__(
        self,
        latent_dim: int,
        output_shape: tuple[int, ...],
        hidden_dims: list[int] | None = None,
        activation: Activation = "elu",
    ):
        super().__init__(latent_dim, output_shape)
        hidden_dims = hidden_dims or default_widths(output_shape)[::-1]
        self.layers = hidden_layers([latent_dim, *hidden_dims], activation)
        self.output = nn.Linear(hidden_dims[-1], prod(output_shape))

    def forward(self, z: Tensor) -> Tensor:
        return self.output(self.layers(z)).unflatten(-1, self.output_shape)

    def start_at(self, output: Tensor) -> None:
        with torch.no_grad():
            self.output.bias.copy_(output.flatten())
