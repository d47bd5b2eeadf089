"""A drawing becomes an image like those of the data: as large, as central, of as many gray values."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pyro_vae.errors import InputError
from pyro_vae.explore.opened import Exhibit, Opened

INK = 0.2  #: of the range of pixels: what is brighter than the ground by more is ink
GROUND = 0.5  #: the share of border pixels that are ground, where images are ink on an empty ground
SEED = 0  #: of the one draw that binarises a drawing


@dataclass(frozen=True)
class Style:
    """How ink lies in the images of a data set, measured on its test images.

    Attributes:
        shape: of an image, ``(H, W)``.
        longer: the median of the longer side of the ink's box, pixels.
        low, high: the pixel values of ground and ink.
        levels: steps between them.
    """

    shape: tuple[int, int]
    longer: int
    low: float
    high: float
    levels: float

    @property
    def pen(self) -> float:
        """The width of a pen's stroke, as a share of the longer side: one pixel and 6 % of the side."""
        return min(0.3, (1 + 0.06 * self.longer) / self.longer)

    @property
    def words(self) -> str:
        """What is done to a drawing."""
        height, width = self.shape
        return (
            f"Your drawing is scaled so that its longer side is {self.longer} of {max(height, width)} pixels, as in the"
            " test images. Its centre of mass is moved as close to the middle as possible. It has"
            f" {self.levels + 1:.0f} gray values."
        )


def style_of(exhibit: Exhibit) -> Style | None:
    """The style of the test images; None where they are no ink on an empty ground."""
    data, x = exhibit.data, exhibit.gray
    if x.shape[1] != 1:
        return None
    share = ((x - data.low) / (data.high - data.low)).cpu()
    border = torch.cat([share[..., 0, :].flatten(), share[..., :, 0].flatten(), share[..., :, -1].flatten()])
    ink = share[:, 0] > INK
    if (border < INK).double().mean() < GROUND or not ink.flatten(1).any(1).any():
        return None
    extents = [ink.any(axis).float().flatten(1) for axis in (1, 2)]
    longer = torch.stack([_extent(extent) for extent in extents]).amax(0)
    height, width = x.shape[-2:]
    steps = data.train.divisor * (data.high - data.low)
    if data.stored.dtype != "bool" and steps <= 1:  # floating-point numbers
        steps = 255
    return Style((height, width), round(longer.median().item()), data.low, data.high, steps)


def _extent(ink: Tensor) -> Tensor:
    """From the first to the last 1 of rows ``(N, L)``: ``(N,)``."""
    places = torch.arange(ink.shape[1])
    first = torch.where(ink > 0, places, ink.shape[1]).amin(1)
    last = torch.where(ink > 0, places, -1).amax(1)
    return (last - first + 1).clamp(min=0)


@dataclass(frozen=True)
class Drawn:
    """A drawing as an image of the data.

    Attributes:
        gray: ``(1, 1, H, W)``.
    """

    gray: Tensor

    def seen(self, opened: Opened) -> Tensor:
        """The image as a run's model sees it: gray, or binarised by one draw."""
        x = self.gray.to(opened.subject.x.device)
        return opened.subject.binarizer(x, torch.Generator(x.device).manual_seed(SEED))


def as_image(raster: np.ndarray, style: Style) -> Drawn:
    """A drawing, cut out, scaled and centred.

    Args:
        raster: ink in [0, 1], ``(S, S)``; large beside the image.

    Raises:
        InputError: where there is no ink.
    """
    ink = torch.from_numpy(raster.astype(np.float32))
    rows, columns = (ink > INK).any(1).nonzero()[:, 0], (ink > INK).any(0).nonzero()[:, 0]
    if not len(rows):
        raise InputError("the canvas is empty: draw something")
    cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = style.longer / max(cut.shape)
    size = [max(1, min(side, round(length * scale))) for side, length in zip(style.shape, cut.shape, strict=True)]
    small = F.interpolate(cut[None, None], size, mode="area")[0, 0]
    small = small / small.max().clamp(min=1e-6)
    image = torch.zeros(style.shape)
    top, left = (_start(small.sum(1 - axis), side) for axis, side in enumerate(style.shape))
    image[top : top + size[0], left : left + size[1]] = small
    steps = (image * style.levels).round() / style.levels
    return Drawn((style.low + (style.high - style.low) * steps)[None, None])


def _start(mass: Tensor, side: int) -> int:
    """Where a strip of ink ``(L,)`` begins whose centre of mass is the middle of ``side``, as near as it fits."""
    centre = (mass * (torch.arange(len(mass)) + 0.5)).sum() / mass.sum()
    return int(min(max(0, round(side / 2 - centre.item())), side - len(mass)))
