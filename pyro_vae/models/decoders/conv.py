"""The decoder of transposed convolutions."""

from math import prod

import torch
from torch import Tensor, nn

from pyro_vae.models.decoders.base import Decoder
from pyro_vae.nn import ACTIVATIONS, Activation


class ConvDecoder(Decoder):
    """One fully connected layer, then convolutions that double height and width, cut to the size of the image.

    Args:
        latent_dim: D.
        output_shape: the shape of the likelihood's parameters for one image: channels, height, width.
        channels: input channels of each transposed convolution, from the smallest picture to the largest.
        activation: the nonlinearity after each hidden layer.

    Raises:
        ValueError: if the output does not have three dimensions, or ``channels`` is empty or not positive.
    """

    def __init__(
        self,
        latent_dim: int,
        output_shape: tuple[int, ...],
        channels: list[int] = [64, 32],  # noqa: B006 (read only; the command line shows it)
        activation: Activation = "elu",
    ):
        super().__init__(latent_dim, output_shape)
        if len(output_shape) != 3:
            raise ValueError(f"ConvDecoder makes images of channels x height x width, not {tuple(output_shape)}")
        if not channels or min(channels) < 1:
            raise ValueError(f"ConvDecoder needs at least one number of channels, all positive, not {channels}")
        depth, height, width = output_shape
        first = (channels[0], -(-height // 2 ** len(channels)), -(-width // 2 ** len(channels)))
        layers: list[nn.Module] = [nn.Linear(latent_dim, prod(first)), nn.Unflatten(-1, first)]
        for fan_in, fan_out in zip(channels, [*channels[1:], depth], strict=True):
            layers += [ACTIVATIONS[activation](), nn.ConvTranspose2d(fan_in, fan_out, 4, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers)
        # A bias for each pixel, not for each channel, so that it can hold the mean image.
        self.bias = nn.Parameter(torch.zeros(self.output_shape))

    def forward(self, z: Tensor) -> Tensor:
        _, height, width = self.output_shape
        pixels = self.layers(z.reshape(-1, self.latent_dim))[..., :height, :width] + self.bias
        return pixels.reshape(*z.shape[:-1], *self.output_shape)

    def start_at(self, output: Tensor) -> None:
        with torch.no_grad():
            self.bias.copy_(output)
