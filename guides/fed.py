"""An encoder that sees its images through a fixed map, which a likelihood gives: standardised, with missing values."""

from torch import Tensor

from guides.encoders import Encoder
from pyro_vae.nn import Seen


class Fed(Encoder):
    """Any encoder, after a fixed map of the images. The run makes it; no option can choose it.

    Args:
        inputs: from images ``(N, *image_shape)`` to ``(N, *inputs.output_shape)``.
        encoder: made for images of shape ``inputs.output_shape``.

    Shapes: ``(N, *image_shape)`` to ``(N, encoder.out_features)``.
    """

    chosen_by_name = False

    def __init__(self, inputs: Seen, encoder: Encoder):
        super().__init__()
        self.inputs, self.encoder = inputs, encoder
        self.out_features = encoder.out_features

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(self.inputs(x))
