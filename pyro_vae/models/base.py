"""The contract of every model: a generative story p(x, z) in Pyro."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Model(nn.Module, ABC):
    """A generative story p(x, z) = p(z) p(x|z), a Pyro model.

    Attributes:
        latent_dim: the number D of latent dimensions.
        image_shape: the event shape of one image: channels, height, width.
    """

    latent_dim: int
    image_shape: tuple[int, ...]

    @abstractmethod
    def forward(self, x: Tensor | None = None, n: int | None = None) -> Tensor:
        """The Pyro model: in plate "data", z ~ prior, x ~ likelihood(decoder(z)); returns x.

        Args:
            x: observed images ``(N, *image_shape)``; None draws them.
            n: how many images to draw where ``x`` is None.
        """

    @abstractmethod
    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x, z) in nats: ``(..., N, *image_shape), (..., N, D) -> (..., N)``."""
