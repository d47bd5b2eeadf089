"""An estimate in bits per dimension."""

from math import prod

from torch import nn

from pyro_vae.bits import bits_per_dimension, is_discrete
from pyro_vae.estimators.estimate import Estimate


def in_bits(model: nn.Module, name: str, found: Estimate, seen: float | None = None) -> dict[str, Estimate]:
    """The same estimate in bits per dimension, by the name NAME_bits; nothing where the likelihood is a density.

    Args:
        name: of ``found``, nats per image, which has a value for each image. A lower bound becomes an upper one.
        seen: the mean number of values of an image that are not missing; None for all.
    """
    if not is_discrete(model) or found.per_image is None or seen == 0:
        return {}
    values = prod(model.image_shape)  # type: ignore[arg-type]
    one = bits_per_dimension(1.0, values if seen is None else seen)
    bound = {"lower": "upper", "upper": "lower", None: None}[found.bound]
    counted = "values of an image" if seen in (None, values) else "mean number of seen values of an image"
    how = f"- {name} / ({counted} * ln 2)"
    errors = None if found.per_image_error is None else found.per_image_error * -one
    made = Estimate.over(found.per_image * one, how, found.samples, bound, errors, "bits per dimension")  # type: ignore[arg-type]
    return {f"{name}_bits": made}
