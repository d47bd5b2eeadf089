"""``check_encoder`` and ``check_decoder``: whether a network keeps its contract."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from guides import Encoder
from pyro_vae.models import Decoder
from pyro_vae.seeds import forked
from pyro_vae.testing.context import looking_at, name_of, require, require_gradients, require_shape

SHAPES = ((1, 8, 8), (3, 5, 7))


def check_encoder(
    encoder_class: Callable[..., Encoder],
    *,
    image_shapes: Sequence[tuple[int, ...]] = SHAPES,
    seed: int = 0,
    **options: Any,
) -> None:
    """Raise an error that says what is wrong with an encoder; return None if nothing is.

    Checked: the shape of the features, that an image's features do not depend on the other images, and that a gradient
    reaches every parameter.

    Args:
        encoder_class: a subclass of :class:`~guides.Encoder`, made by ``encoder_class(image_shape, **options)``.
        image_shapes: the shapes of one image to try.
        seed: of the random numbers.
        options: the encoder's own.

    Raises:
        AssertionError: if the encoder breaks the contract.

    Example:
        >>> from guides import MLPEncoder
        >>> check_encoder(MLPEncoder, hidden_dims=[8])
    """
    for shape in image_shapes:
        with looking_at(f"{name_of(encoder_class)}, images of shape {shape}"), forked():
            torch.manual_seed(seed)
            encoder = encoder_class(shape, **options)
            require(isinstance(encoder, Encoder), f"it makes a {type(encoder).__name__}, which is no guides.Encoder")
            require(isinstance(encoder.out_features, int), "out_features must be the number of features")
            x = torch.rand(5, *shape)
            features = encoder(x)
            require_shape(features.shape, (5, encoder.out_features), "encoder(x)")
            alone = encoder(torch.cat([x[:1], 1 - x[1:]]))[0]
            same = torch.allclose(features[0], alone, atol=1e-5)
            require(same, "the features of the first image change when only the other images change")
            require_gradients(encoder, (features**2).sum())


def check_decoder(
    decoder_class: Callable[..., Decoder],
    *,
    latent_dims: Sequence[int] = (1, 4),
    output_shapes: Sequence[tuple[int, ...]] = SHAPES,
    seed: int = 0,
    **options: Any,
) -> None:
    """Raise an error that says what is wrong with a decoder; return None if nothing is.

    Checked: shapes with any leading dimensions, rows that do not depend on each other, a gradient for every
    parameter, and that ``start_at`` moves the output at z = 0 to the given output.

    Args:
        decoder_class: a subclass of :class:`~pyro_vae.models.Decoder`, made by
            ``decoder_class(latent_dim, output_shape, **options)``.
        latent_dims: the numbers of latent dimensions to try.
        output_shapes: the shapes that a likelihood may need for one image.
        seed: of the random numbers.
        options: the decoder's own.

    Raises:
        AssertionError: if the decoder breaks the contract.

    Example:
        >>> from pyro_vae.models import LinearDecoder
        >>> check_decoder(LinearDecoder)
    """
    for latent_dim in latent_dims:
        for shape in output_shapes:
            with looking_at(f"{name_of(decoder_class)}, latent_dim {latent_dim}, output {shape}"), forked():
                torch.manual_seed(seed)
                decoder = decoder_class(latent_dim, shape, **options)
                require(isinstance(decoder, Decoder), f"it makes a {type(decoder).__name__}, which is no Decoder")
                require(decoder.latent_dim == latent_dim, f"latent_dim must be {latent_dim}")
                require(tuple(decoder.output_shape) == shape, f"output_shape must be {shape}")
                z = torch.randn(3, 5, latent_dim)
                output = decoder(z)
                require_shape(output.shape, (3, 5, *shape), "decoder(z) of z with shape (3, 5, D)")
                close = torch.allclose(decoder(z[0, :1])[0], output[0, 0], atol=1e-5)
                require(close, "the output at one z changes with the other z beside it")
                require_gradients(decoder, (output**2).sum())
                wanted = torch.linspace(-3, 3, output[0, 0].numel()).reshape(shape)
                before = (decoder(torch.zeros(1, latent_dim))[0] - wanted).abs().mean()
                decoder.start_at(wanted)
                after = (decoder(torch.zeros(1, latent_dim))[0] - wanted).abs().mean()
                require(bool(after < 0.5 * before), "start_at(output) does not move the output at z = 0 towards it")
