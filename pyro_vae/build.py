"""From a run's options to its model and guide."""

import torch
from torch import Tensor

from guides import Encoder, Guide
from guides.base import LabelUse
from guides.fed import Fed
from pyro_vae.columns import Column
from pyro_vae.config import Config, Shape, class_of
from pyro_vae.data import Binarizer
from pyro_vae.models import Likelihood, Model
from pyro_vae.seeds import forked, random_seed


def labels_of(config: Config) -> LabelUse:
    """The model's use of labels, from the options."""
    return getattr(class_of(config.model), "labels", "ignored")


def build(
    config: Config,
    image_shape: Shape,
    mean_image: Tensor | None = None,
    num_classes: int | None = None,
    num_images: int | None = None,
    columns: tuple[Column, ...] | None = None,
) -> tuple[Model, Guide]:
    """A model and a guide with the first weights of a run, on the CPU.

    Args:
        config: the options; ``likelihood`` must be settled.
        image_shape: channels, height, width.
        mean_image: the decoder starts there; None leaves its bias unchanged.
        num_classes: the number of labels; unused by a model that ignores them.
        num_images: the number of training images; None if weights are loaded later.
        columns: of a table, for a likelihood that is made of them.
    """
    if config.program is not None:
        return _own_pair(config.program, config.seed, image_shape, num_images)
    assert config.likelihood is not None, "the likelihood is settled when the data are known"
    with forked():
        torch.manual_seed(random_seed(config.seed, "prior"))
        prior = config.prior(config.latent_dim)
        torch.manual_seed(random_seed(config.seed, "decoder"))
        likelihood = _likelihood(config, image_shape, columns)
        room = 0 if labels_of(config) == "ignored" else num_classes or 0
        decoder = config.decoder(prior.decoded_dim + room, likelihood.output_shape)
        if mean_image is not None:
            decoder.start_at(likelihood.initial_output(mean_image))
        model = config.model(decoder, likelihood, prior)
        torch.manual_seed(random_seed(config.seed, "encoder"))
        encoder = _encoder(config, likelihood, image_shape)
        torch.manual_seed(random_seed(config.seed, "guide"))
        guide = config.guide(encoder, config.latent_dim)
        guide = model.wrap_guide(guide)
        if num_images is not None:
            model.set_num_images(num_images)
        guide.bind(model.log_joint)
        prior.bind(guide, image_shape, mean_image)
    return model, guide


def takes_columns(config: Config) -> bool:
    """Whether the likelihood, which is settled, is made of the columns of a table."""
    return config.likelihood is not None and getattr(class_of(config.likelihood), "of_columns", False)


def _likelihood(config: Config, image_shape: Shape, columns: tuple[Column, ...] | None) -> Likelihood:
    assert config.likelihood is not None
    # the columns are known from the data, not from the options
    known = {"columns": columns} if takes_columns(config) and columns is not None else {}
    likelihood = config.likelihood(image_shape, **known)
    likelihood.allows_missing = likelihood.allows_missing or config.takes_missing
    return likelihood


def _encoder(config: Config, likelihood: Likelihood, image_shape: Shape) -> Encoder:
    """The encoder, behind what it sees of a table or of images with missing pixels."""
    inputs = likelihood.encoder_inputs(config.missing == "mask")
    return config.encoder(image_shape) if inputs is None else Fed(inputs, config.encoder(inputs.output_shape))


def _own_pair(program: str, seed: int, image_shape: Shape, num_images: int | None) -> tuple[Model, Guide]:
    from pyro_vae.programs import named_pair  # whose imports --help does not need

    with forked():
        torch.manual_seed(random_seed(seed, "program"))
        model, guide = named_pair(program, image_shape)
    if num_images is not None:
        model.set_num_images(num_images)
    return model, guide


def needs_likelihood(config: Config) -> bool:
    """Whether the likelihood is still to be chosen, to suit the data."""
    return config.likelihood is None and config.program is None


def likelihood_of(model: Model) -> Likelihood | None:
    """The model's likelihood; None for the user's own model without one."""
    likelihood = getattr(model, "likelihood", None)
    return likelihood if isinstance(likelihood, Likelihood) else None


def sees_binary(config: Config, model: Model) -> bool:
    """Whether the likelihood sees zeros and ones drawn from gray values."""
    return config.binarize == "dynamic" or (config.binarize == "auto" and observes_binary(model))


def binarizer_of(config: Config, model: Model) -> Binarizer:
    """From stored images to what the likelihood sees; missing pixels stay missing where the run takes them."""
    likelihood = likelihood_of(model)
    missing = config.takes_missing or (likelihood is not None and likelihood.allows_missing)
    return Binarizer(sees_binary(config, model), missing)


def observes_binary(model: Model) -> bool:
    """Whether what the model observes is zeros and ones."""
    likelihood = likelihood_of(model)
    return likelihood.binary if likelihood is not None else bool(getattr(model, "sees_binary", False))
