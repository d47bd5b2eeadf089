"""From z to the likelihood's parameters. A new decoder is one class in one file here."""

from pyro_vae.models.decoders.base import Decoder as Decoder
from pyro_vae.plugs import find

DECODERS: dict[str, type[Decoder]] = find(__name__, Decoder)  #: every decoder of this project, by its name
globals().update(DECODERS)
__all__ = ["DECODERS", "Decoder", *DECODERS]
