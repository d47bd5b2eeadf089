"""From z to the likelihood's parameters. One class in a file here is all that a new decoder needs."""

from pyro_vae.models.decoders.base import Decoder as Decoder
from pyro_vae.plugs import find

DECODERS: dict[str, type[Decoder]] = find(__name__, Decoder)  #: every decoder of this project, by its name
globals().update(DECODERS)
__all__ = ["DECODERS", "Decoder", *DECODERS]
