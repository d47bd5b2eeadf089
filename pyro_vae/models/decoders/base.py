"""Networks from the latent space to the likelihood's parameters."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Decoder(nn.Module, ABC):
    """Latent vectors ``(..., D)`` to outputs ``(..., *output_shape)``.

    Args:
        latent_dim: D.
        output_shape: the shape of the likelihood's parameters for one image.

    Raises:
        ValueError: if ``latent_dim`` is not positive.
    """

    def __init__(self, latent_dim: int, output_shape: tuple[int, ...]):
        super().__init__()
        if latent_dim < 1:
            raise ValueError(f"latent_dim must be at least 1, not {latent_dim}")
        self.latent_dim = latent_dim
        self.output_shape = tuple(output_shape)

    @abstractmethod
    def forward(self, z: Tensor) -> Tensor:
        """Outputs ``(..., *output_shape)``."""

    @abstractmethod
    def start_at(self, output: Tensor) -> None:
        """Set the last bias so that the decoder starts around ``output``, of shape ``output_shape``."""
