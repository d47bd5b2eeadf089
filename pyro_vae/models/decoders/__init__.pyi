"""Written by ``python tests/test_typed_names.py``; a test holds it against what pyro_vae.models.decoders finds."""

from pyro_vae.models.decoders.base import Decoder as Decoder
from pyro_vae.models.decoders.conv import ConvDecoder as ConvDecoder
from pyro_vae.models.decoders.linear import LinearDecoder as LinearDecoder
from pyro_vae.models.decoders.mlp import MLPDecoder as MLPDecoder

DECODERS: dict[str, type[Decoder]]
