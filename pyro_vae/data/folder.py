"""A folder of pictures as one array: each picture as a viewer shows it, with its opacity if it has any."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pyro_vae.data.images import Images
from pyro_vae.data.labels import numbered
from pyro_vae.data.layout import as_images
from pyro_vae.errors import InputError

PICTURES = {".png", ".apng", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
#: folders that a system or an archiver adds: resource forks in a zip file of macOS, thumbnails of a file server
NOT_THE_USERS = {"__MACOSX", "@eaDir"}
#: formats in which each page is a picture; the second picture of a camera's JPEG (MPO) is a preview of the first
PAGED = {"TIFF", "GIF", "PNG", "WEBP"}


class Page(NamedTuple):
    """One picture: colours ``(H, W)`` or ``(H, W, 3)``, and the opacity ``(H, W)`` unless it is opaque."""

    file: Path
    colours: np.ndarray
    opacity: np.ndarray | None


def folder_images(path: Path) -> Images:
    """All pictures below a folder, in the order of their names; their folders are their labels.

    Pictures are turned as their EXIF tag says. Palettes become colours. Gray pictures have one channel and colours
    three; if any picture is not opaque, all get one more channel. Gray pictures of 16 bits stay so; Pillow reads
    colours of 16 bits with 8. Each page of a TIFF, a GIF, an animated PNG or WebP is a picture. Hidden files and
    folders are left out, as are those that a system adds.

    Raises:
        InputError: if there is no picture, one cannot be read, or their sizes or kinds differ.
    """
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in PICTURES and _is_the_users(file, path))
    if not files:
        raise InputError(f"there is no picture in {path}; looked for {', '.join(sorted(PICTURES))}")
    pages: list[Page] = []
    for file in files:
        for page in _pages(file):
            pages.append(page)
            first, this = ((p.colours.shape, str(p.colours.dtype)) for p in (pages[0], page))
            if first != this:
                raise InputError(
                    f"pictures must be of one size and kind: {pages[0].file.name} is {first}, {file.name} {this}"
                )
    labels, classes = None, None
    folders = [page.file.parent.relative_to(path).as_posix() for page in pages]
    if len(set(folders)) > 1:  # a folder of folders is a labelled set, as in torchvision's ImageFolder
        (labels,), classes = numbered([np.array(folders)], str(path))
    images = as_images(_stacked(pages), "channels_last", str(path))
    return Images(images.pixels, images.divisor, labels, classes=classes)


def _is_the_users(file: Path, root: Path) -> bool:
    parts = file.relative_to(root).parts
    return not any(part.startswith(".") or part in NOT_THE_USERS for part in parts) and file.is_file()


def _stacked(pages: list[Page]) -> np.ndarray:
    """The pictures as one array, ``(N, H, W)`` or with their channels last."""
    colours = np.stack([page.colours for page in pages])
    if all(page.opacity is None for page in pages):
        return colours
    opaque = np.full(colours.shape[1:3], 255, np.uint8)
    opacity = np.stack([opaque if page.opacity is None else page.opacity for page in pages])
    return np.concatenate([colours if colours.ndim == 4 else colours[..., None], opacity[..., None]], -1)


def _pages(file: Path) -> Iterator[Page]:
    from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

    try:
        with Image.open(file) as picture:
            count = getattr(picture, "n_frames", 1) if picture.format in PAGED else 1
            # The first picture of such a PNG is for viewers without animation, and not part of the animation.
            skipped = 1 if count > 1 and picture.info.get("default_image") else 0
            frames = ImageSequence.Iterator(picture) if count > 1 else [picture]
            upright = [ImageOps.exif_transpose(frame) for frame in frames][skipped:]
    # Pillow raises many errors for a damaged file; for a picture too large it is a DecompressionBombError.
    except (OSError, ValueError, SyntaxError, EOFError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InputError(f"{file} cannot be read as a picture: {' '.join(str(error).split())}") from error
    colour = any(_is_colour(frame) for frame in upright)  # Pillow gives the later pages of a gray GIF as colours
    for frame in upright:
        yield Page(file, *_read(frame, colour, file))


def _is_colour(picture: Any) -> bool:
    return picture.mode not in ("1", "L", "LA", "La", "I", "F") and not picture.mode.startswith("I;16")


def _read(picture: Any, colour: bool, file: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """The colours of a picture, and its opacity unless it is opaque everywhere."""
    if picture.mode in ("I", "F"):
        raise InputError(f"{file} has pixels of mode {picture.mode}, whose range is not known")
    if picture.mode.startswith("I;16"):
        if "transparency" in picture.info:
            raise InputError(f"{file} has a gray value of 16 bits that is transparent, which is not read: remove it")
        return np.asarray(picture).astype(np.uint16), None
    kind = "RGB" if colour else "L"
    if not picture.has_transparency_data:
        return np.asarray(picture.convert(kind)), None
    both = np.asarray(picture.convert("RGBA"))
    opacity = both[..., 3]
    colours = both[..., :3] if colour else both[..., 0]
    return colours, None if (opacity == 255).all() else opacity
