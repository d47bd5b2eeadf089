"""The contract of every model: a generative story p(x, z) in Pyro."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from guides import Guide
from guides.base import LabelUse


class Model(nn.Module, ABC):
    """A generative story p(x, z) = p(z) p(x|z), a Pyro model.

    Unless it ignores ``labels``, both the model and the guide that it makes by :meth:`wrap_guide` take the images'
    labels as ``y=``, ``(N,)``, -1 for one that is not seen, and the decoder has room for one number a class beside z.

    Attributes:
        latent_dim: the number D of latent dimensions.
        image_shape: the event shape of one image: channels, height, width.
    """

    #: what the model does with labels: nothing; it uses those that are seen; or it has no meaning without them
    labels: LabelUse = "ignored"

    latent_dim: int
    image_shape: tuple[int, ...]

    @abstractmethod
    def forward(self, x: Tensor | None = None, n: int | None = None) -> Tensor:
        """The Pyro model: in plate "data", z ~ prior, x ~ likelihood(decoder(z)); returns x.

        Images that are drawn come back without gradients, ready for NumPy; the site "x" of a trace keeps its own.

        Args:
            x: observed images ``(N, *image_shape)``; None draws them.
            n: how many images to draw where ``x`` is None.
        """

    def wrap_guide(self, guide: Guide) -> Guide:
        """Adapt the chosen guide to this model; by default return it unchanged."""
        return guide

    def set_num_images(self, num_images: int) -> None:
        """Tell the model how many images it will be trained on; called once, before training.

        Nothing happens here. :class:`~pyro_vae.models.BayesianVAE` shares the KL of its weights out among them.
        """

    @abstractmethod
    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x, z) in nats: ``(..., N, *image_shape), (..., N, D) -> (..., N)``."""
