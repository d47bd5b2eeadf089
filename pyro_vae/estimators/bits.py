"""An estimate in bits per dimension."""

from torch import nn

from pyro_vae.bits import bits_per_dimension, is_discrete
from pyro_vae.estimators.estimate import Estimate


def in_bits(model: nn.Module, name: str, found: Estimate) -> dict[str, Estimate]:
    """The same estimate in bits per dimension, by the name NAME_bits; nothing where the likelihood is a density.

    Args:
        name: of ``found``, nats per image, which has a value for each image. A lower bound becomes an upper one.
    """
    if not is_discrete(model) or found.per_image is None:
        return {}
    one = bits_per_dimension(1.0, model.image_shape)  # type: ignore[arg-type]
    bound = {"lower": "upper", "upper": "lower", None: None}[found.bound]
    how = f"- {name} / (values of an image * ln 2)"
    errors = None if found.per_image_error is None else found.per_image_error * -one
    made = Estimate.over(found.per_image * one, how, found.samples, bound, errors, "bits per dimension")  # type: ignore[arg-type]
    return {f"{name}_bits": made}
