"""The contract of every model: a generative story p(x, z) in Pyro."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from guides import Guide


class Model(nn.Module, ABC):
    """A generative story p(x, z) = p(z) p(x|z), a Pyro model.

    Where it ``takes_labels``, both the model and the guide that it makes by :meth:`around` take the images' labels as
    ``y=``, ``(N,)``, and the decoder that it is built with has room for one number a class beside z.

    Attributes:
        latent_dim: the number D of latent dimensions.
        image_shape: the event shape of one image: channels, height, width.
    """

    #: whether a step of training is given the images' labels, -1 where they are not seen
    takes_labels: bool = False
    #: whether nothing can be said of an image whose label is not known
    needs_labels: bool = False

    latent_dim: int
    image_shape: tuple[int, ...]

    @abstractmethod
    def forward(self, x: Tensor | None = None, n: int | None = None) -> Tensor:
        """The Pyro model: in plate "data", z ~ prior, x ~ likelihood(decoder(z)); returns x.

        Args:
            x: observed images ``(N, *image_shape)``; None draws them.
            n: how many images to draw where ``x`` is None.
        """

    def wrap_guide(self, guide: Guide) -> Guide:
        """The guide of this model, made of the guide that was chosen by name; here that guide itself."""
        return guide

    def set_num_images(self, num_images: int) -> None:
        """Tell the model how many images it will be trained on; called once, before training.

        Nothing happens here. :class:`~pyro_vae.models.BayesianVAE` shares the KL of its weights out among them.
        """

    @abstractmethod
    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x, z) in nats: ``(..., N, *image_shape), (..., N, D) -> (..., N)``."""
