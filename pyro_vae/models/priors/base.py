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
        decoded_dim: the decoder sees this many dimensions, the first ones; D unless z has layers.
    """

    def __init__(self, latent_dim: int):
        super().__init__()
        self.latent_dim = self.decoded_dim = latent_dim

    @abstractmethod
    def forward(self) -> dist.TorchDistribution:
        """p(z): batch_shape ``()``, event_shape ``(D,)``."""

    def bind(self, guide: Guide, image_shape: Sequence[int], mean_image: Tensor | None) -> None:
        """Give the prior the guide that it is trained with; called once, after both are built.

        Here it does nothing. :class:`VampPrior`, a mixture of the guide's posteriors, keeps the guide.

        Args:
            guide: q(z|x).
            image_shape: channels, height, width.
            mean_image: of the training images, ``image_shape``; None if weights are loaded later.
        """
