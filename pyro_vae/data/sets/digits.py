"""The digits of scikit-learn."""

from pathlib import Path

import numpy as np
import torch

from pyro_vae.data.images import Images
from pyro_vae.data.sets.base import NamedData
from pyro_vae.data.splits import Splits, split


def read(root: Path) -> Splits:
    """All 1,797 of them, which need no download."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = digits.images.astype(np.uint8)[:, None]
    images = Images(pixels, 16.0, torch.from_numpy(digits.target))
    return split(images, "digits", validation=250, test=250)


DIGITS = NamedData(
    name="digits",
    read=read,
    # Such small pictures need their gray values: binarised, few of these digits can still be read.
    likelihood="Gaussian",
    images=(1297, 250, 250),
    image_shape=(1, 8, 8),
    about="17 gray values; inside scikit-learn, no network",
)
