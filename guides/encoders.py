"""Networks from images to features, shared by all guides. They are row-wise: no batch norm across images."""

from abc import ABC, abstractmethod
from math import prod

from torch import Tensor, nn

from pyro_vae.nn import ACTIVATIONS, Activation, check_widths, default_widths, hidden_layers


class Encoder(nn.Module, ABC):
    """Images ``(N, *image_shape)`` to features ``(N, out_features)``."""

    out_features: int

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Features of each image, ``(N, out_features)``."""


class MLPEncoder(Encoder):
    """Fully connected layers on the flattened image (AEVB, Appendix C).

    Args:
        image_shape: channels, height, width; any shape is flattened.
        hidden_dims: the width of each hidden layer; by default chosen from the size of the image. AEVB's is [500].
        activation: the nonlinearity after each layer; AEVB's is tanh.

    Shapes: ``(N, *image_shape)`` to ``(N, hidden_dims[-1])``.
    """

    def __init__(
        self, image_shape: tuple[int, ...], hidden_dims: list[int] | None = None, activation: Activation = "elu"
    ):
        super().__init__()
        hidden_dims = hidden_dims or default_widths(image_shape)
        self.out_features = hidden_dims[-1]
        self.layers = hidden_layers([prod(image_shape), *hidden_dims], activation)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.flatten(1))


class ConvEncoder(Encoder):
    """Convolutions with stride 2, then one fully connected layer.

    Args:
        image_shape: channels, height, width.
        channels: output channels of each convolution; every one halves height and width (rounded up).
        hidden_dim: width of the fully connected layer.
        activation: the nonlinearity after each layer.

    Shapes: ``(N, C, H, W)`` to ``(N, hidden_dim)``.

    Raises:
        ValueError: if the image does not have three dimensions, or a width is not positive.
    """

    def __init__(
        self,
        image_shape: tuple[int, ...],
        channels: list[int] = [32, 64],  # noqa: B006 (read only; the command line shows it)
        hidden_dim: int = 256,
        activation: Activation = "elu",
    ):
        super().__init__()
        if len(image_shape) != 3:
            raise ValueError(f"ConvEncoder needs images of channels x height x width, not {tuple(image_shape)}")
        check_widths([*channels, hidden_dim])
        depth, height, width = image_shape
        layers: list[nn.Module] = []
        for channel in channels:
            layers += [nn.Conv2d(depth, channel, 3, stride=2, padding=1), ACTIVATIONS[activation]()]
            depth, height, width = channel, (height + 1) // 2, (width + 1) // 2
        self.out_features = hidden_dim
        self.layers = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(depth * height * width, hidden_dim), ACTIVATIONS[activation]()
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
