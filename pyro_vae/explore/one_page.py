"""A run's latent plane as one page that needs neither Python nor a network: a sprite of decoded images."""

import base64
import io
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pyro_vae.errors import InputError
from pyro_vae.explore.opened import Exhibit, Opened
from pyro_vae.files import write_atomic
from pyro_vae.terminal import printable

SIDES = (64, 48, 40, 32, 24, 16, 12, 8)  #: decoded images along a side; the first that is small enough
PIXELS = 2**23  #: of the sprite, at most
BYTES = 3 * 2**20  #: of the sprite as PNG, at most
REACH = (0.995, 1.15)  #: the plane reaches that far beyond the sizes of that share of the codes' coordinates
SCRIPTS = ("page.js", "plane.js", "export.js")


@dataclass(frozen=True)
class Sprite:
    """Images decoded on a square grid of the plane, in one picture.

    Attributes:
        half: the grid goes from -half to half along both axes, ends included.
        side: images along a side.
        shape: of one image, ``(H, W)``.
        png: the picture; the first row has the highest place.
    """

    half: float
    side: int
    shape: tuple[int, int]
    png: bytes


def export_page(exhibit: Exhibit, path: Path) -> Path:
    """Write the plane of the one run of an exhibit; returns the path.

    Raises:
        InputError: where there are several runs, or the file cannot be written.
    """
    if len(exhibit.opened) != 1:
        raise InputError(f"--export writes the plane of one run, and there are {len(exhibit.opened)}: name one")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, page_of(exhibit))
    except OSError as error:
        raise InputError(f"--export {path} cannot be written: {error.strerror}") from error
    return path


def page_of(exhibit: Exhibit) -> str:
    """The page of an exhibit's first run."""
    from jinja2 import Environment

    folder = files("pyro_vae.explore") / "page"
    opened = exhibit.opened[0]
    sprite, codes = sprite_of(opened), opened.codes[:, list(opened.axes)].cpu()
    data = {
        "axes": list(opened.axes),
        "codes": codes.double().numpy().round(3).ravel().tolist(),
        "labels": None if exhibit.labels is None else exhibit.labels.tolist(),
        "classes": exhibit.data.classes,
        "half": sprite.half,
        "side": sprite.side,
        "shape": sprite.shape,
    }
    template = Environment(autoescape=True).from_string((folder / "export.html").read_text(encoding="utf-8"))
    return template.render(
        title=printable(exhibit.data.name),
        run=opened.name,
        guide=type(opened.run.guide).__name__,
        latent_dim=opened.run.model.latent_dim,
        side=sprite.side,
        sprite=base64.b64encode(sprite.png).decode(),
        data=json.dumps(data).replace("<", "\\u003c"),
        style=(folder / "explore.css").read_text(encoding="utf-8"),
        scripts=[(folder / name).read_text(encoding="utf-8") for name in SCRIPTS],
    )


def sprite_of(opened: Opened) -> Sprite:
    """The plane of a run's most active axes, the other dimensions at 0."""
    share, beyond = REACH
    sizes = opened.codes[:, list(opened.axes)].abs().double().cpu()
    half = round(max(1.0, beyond * sizes.quantile(share).item()), 3)
    height, width = opened.shown(opened.subject.x[:1]).shape[1:3]
    for side in SIDES:
        if side == SIDES[-1] or side**2 * height * width <= PIXELS:
            png = _png(opened.decoded(_grid(opened, half, side)), side)
            if len(png) <= BYTES or side == SIDES[-1]:
                break
    return Sprite(half, side, (height, width), png)


def _grid(opened: Opened, half: float, side: int) -> Tensor:
    """Places of the plane row by row from the top left, ``(side^2, D)``."""
    at = torch.linspace(-half, half, side)
    z = torch.zeros(side, side, opened.run.model.latent_dim)
    first, second = opened.axes
    z[..., first], z[..., second] = at, at.flip(0)[:, None]
    return z.flatten(0, 1)


def _png(images: np.ndarray, side: int) -> bytes:
    """Images ``(side^2, H, W, C)`` side by side."""
    _, height, width, channels = images.shape
    joined = images.reshape(side, side, height, width, channels).swapaxes(1, 2)
    joined = joined.reshape(side * height, side * width, channels)
    written = io.BytesIO()
    Image.fromarray(joined[..., 0] if channels == 1 else joined).save(written, "png", optimize=True)
    return written.getvalue()
