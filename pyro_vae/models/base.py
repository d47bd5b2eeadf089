"""The contract of every model: a generative story p(x, z) in Pyro."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from guides import Guide
from guides.base import LabelUse


class Model(nn.Module, ABC):
    """A generative story p(x, z) = p(z) p(x|z), a Pyro model.

    Unless it ignores ``labels``, both the model and the guide from :meth:`wrap_guide` take the images' labels as
    ``y=``, ``(N,)``, -1 for a hidden one, and the decoder's input has one more number for each class.

    Attributes:
        latent_dim: the number D of latent dimensions.
        image_shape: the event shape of one image: channels, height, width.
    """

    #: whether the model ignores labels, uses those that are visible, or needs all of them
    labels: LabelUse = "ignored"

    latent_dim: int
    image_shape: tuple[int, ...]

    @abstractmethod
    def forward(self, x: Tensor | None = None, n: int | None = None) -> Tensor:
        """The Pyro model: in plate "data", z ~ prior, x ~ likelihood(decoder(z)); returns x.

        Images that are drawn come back without gradients, ready for NumPy; the site "x" of a trace keeps its own.

        Args:
            x: observed images ``(N, *image_shape)``; None draws them.
            n: the number of images to draw if ``x`` is None.
        """

    def wrap_guide(self, guide: Guide) -> Guide:
        """Adapt the chosen guide to this model; by default return it unchanged."""
        return guide

    def set_num_images(self, num_images: int) -> None:
        """Tell the model the number of training images; called once, before training.

        Here it does nothing. :class:`~pyro_vae.models.BayesianVAE` divides the KL of its weights among them.
        """

    @abstractmethod
    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x, z) in nats: ``(..., N, *image_shape), (..., N, D) -> (..., N)``."""
