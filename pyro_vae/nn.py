"""Layers, widths and positive scales: the parts of guides, decoders and priors."""

from itertools import pairwise
from math import prod
from typing import Literal

import torch
from torch import Tensor, nn

#: softplus of it is 1: log(e - 1), to the digits behind every published number
UNIT_RAW_SCALE = 0.5413248

Moments = tuple[Tensor, Tensor]  #: means and standard deviations, ``(..., B)`` each
Activation = Literal["tanh", "relu", "elu", "silu", "gelu", "softplus"]
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "softplus": nn.Softplus,
}


def default_widths(image_shape: tuple[int, ...]) -> list[int]:
    """Hidden sizes for an image: a first layer as wide as the image has values, between 128 and 512, then half.

    >>> default_widths((1, 8, 8)), default_widths((1, 28, 28))
    ([128, 64], [512, 256])
    """
    width = min(512, max(128, prod(image_shape)))
    return [width, width // 2]


def check_widths(sizes: list[int]) -> None:
    """Raise ValueError if a size is not positive."""
    if not all(size > 0 for size in sizes):
        raise ValueError(f"the sizes of layers must be positive, not {sizes}")


def hidden_layers(sizes: list[int], activation: Activation) -> nn.Sequential:
    """Linear layers from ``sizes[0]`` features to ``sizes[-1]``, each followed by the activation."""
    check_widths(sizes)
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers)


def softplus_scale(raw: Tensor, floor: float = 1e-4) -> Tensor:
    """A positive scale of the shape of ``raw``, 1 where ``raw`` is 0.

    Softplus grows linearly, so a large activation does not overflow as with ``exp``; ``floor`` keeps log densities
    finite.
    """
    return torch.nn.functional.softplus(raw + UNIT_RAW_SCALE) * (1 - floor) + floor


class GaussianLayer(nn.Module):
    """A network from one layer to the means and standard deviations of the other (Burda et al. 2015, section 5).

    Args:
        in_dim: dimensions of the layer it sees.
        out_dim: B, of the layer it describes.
        hidden_dims: the width of each hidden layer; an empty list makes it linear.
        activation: the nonlinearity after each hidden layer.

    Shapes: ``(..., in_dim)`` to two of ``(..., B)``. The standard deviations start around 1.
    """

    def __init__(self, in_dim: int, out_dim: int, hidden_dims: list[int], activation: Activation):
        super().__init__()
        sizes = [in_dim, *hidden_dims]
        self.layers = hidden_layers(sizes, activation)
        self.output = nn.Linear(sizes[-1], 2 * out_dim)

    def forward(self, z: Tensor) -> Moments:
        loc, raw_scale = self.output(self.layers(z)).chunk(2, dim=-1)
        return loc, softplus_scale(raw_scale)


class Seen(nn.Module):
    """Images for an encoder: 0 in the place of a missing value (NaN), and, if told, the mask as further channels.

    Args:
        image_shape: channels, height, width.
        mask: whether to add the mask, 1 where a value is seen.

    Shapes: ``(..., *image_shape)`` to ``(..., *output_shape)``.

    Example:
        >>> Seen((1, 1, 2), mask=True)(torch.tensor([[[[0.5, float("nan")]]]])).flatten().tolist()
        [0.5, 0.0, 1.0, 0.0]
    """

    def __init__(self, image_shape: tuple[int, ...], mask: bool):
        super().__init__()
        channels, *rest = image_shape
        self.mask, self.output_shape = mask, ((2 if mask else 1) * channels, *rest)

    def forward(self, x: Tensor) -> Tensor:
        seen = ~x.isnan()
        filled = torch.where(seen, x, 0.0)
        return torch.cat([filled, seen.to(x.dtype)], -3) if self.mask else filled


def require_positive(**numbers: float) -> None:
    """Raise ValueError, naming the option, if one of them is not positive."""
    for name, number in numbers.items():
        if number <= 0:
            raise ValueError(f"{name} must be positive, not {number}")


def one_hot(y: Tensor, num_classes: int, like: Tensor) -> Tensor:
    """Labels ``(...)`` to one-hot rows ``(..., C)`` of the type of ``like``, without a check that would sync the
    device."""
    return (y[..., None] == torch.arange(num_classes, device=y.device)).to(like.dtype)
