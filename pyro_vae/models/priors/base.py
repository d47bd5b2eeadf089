"""p(z)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import pyro.distributions as dist
from torch import Tensor, nn

from guides import Guide


class Prior(nn.Module, ABC):
    """A distribution over the latent space.

    Args:
        latent_dim: the number D of latent dimensions.

    Attributes:
        decoded_dim: how many of them, the first, the decoder sees; all of them, but where z has layers.
    """

    def __init__(self, latent_dim: int):
        super().__init__()
        self.latent_dim = self.decoded_dim = latent_dim

    @abstractmethod
    def forward(self) -> dist.TorchDistribution:
        """p(z): batch_shape ``()``, event_shape ``(D,)``."""

    def bind(self, guide: Guide, image_shape: Sequence[int], mean_image: Tensor | None) -> None:
        """Show the prior the guide it will be trained with; called once, after both are built.

        Nothing happens here. :class:`VampPrior`, which is made of the guide's posteriors, keeps it.

        Args:
            guide: q(z|x).
            image_shape: channels, height, width.
            mean_image: of the training images, ``image_shape``; None where weights will be loaded.
        """
