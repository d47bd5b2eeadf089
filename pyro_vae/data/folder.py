"""A folder of pictures as one array: each picture as a viewer shows it, with its opacity if it has any."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pyro_vae.data.image_size import Size, resized
from pyro_vae.data.images import Images
from pyro_vae.data.labels import numbered
from pyro_vae.data.layout import as_images
from pyro_vae.data.remembered import identity_of_pictures, recall, recall_array, remember, remember_array
from pyro_vae.errors import InputError
from pyro_vae.heartbeat import told

PICTURES = {".png", ".apng", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
#: folders that a system or an archiver adds: resource forks in a zip file of macOS, thumbnails of a file server
NOT_THE_USERS = {"__MACOSX", "@eaDir"}
#: formats in which each page is a picture; the second picture of a camera's JPEG (MPO) is a preview of the first
PAGED = {"TIFF", "GIF", "PNG", "WEBP"}


class Page(NamedTuple):
    """One picture: colours ``(H, W)`` or ``(H, W, 3)``, and the opacity ``(H, W)`` unless it is opaque.

    Attributes:
        before: its height and width in the file.
    """

    file: Path
    colours: np.ndarray
    opacity: np.ndarray | None
    before: Size


def folder_images(path: Path) -> Images:
    """All pictures below a folder, in the order of their names; their folders are their labels.

    Pictures are turned as their EXIF tag says. Palettes become colours. Gray pictures have one channel and colours
    three; if any picture is not opaque, all get one more channel. Gray pictures of 16 bits stay so; Pillow reads
    colours of 16 bits with 8. Each page of a TIFF, a GIF, an animated PNG or WebP is a picture. Hidden files and
    folders are left out, as are those that a system adds.

    Raises:
        InputError: if there is no picture, one cannot be read, or their sizes or kinds differ.
    """
    return read_folder(path)[0]


def read_folder(
    path: Path, say: Callable[[str], None] | None = None, size: Size | None = None
) -> tuple[Images, str | None]:
    """:func:`folder_images`, and the key under which the user's cache remembers many pictures; else None.

    Args:
        say: takes a line about reading that takes long, and one about pictures that are resized; None says nothing.
        size: pictures of another size are resized to it.
    """
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in PICTURES and _is_the_users(file, path))
    if not files:
        raise InputError(f"there is no picture in {path}{_unreadable(path)}; looked for {', '.join(sorted(PICTURES))}")
    key = identity_of_pictures(path, files, size)
    stacked, about = recall_array(key), recall("pictures", key)
    if stacked is None or about is None or len(about.get("folders", [])) != len(stacked):
        pages = _all_pages(files, path, say, size)
        stacked, changed = _stacked(pages), _changed(pages, size)
        folders = [page.file.parent.relative_to(path).as_posix() for page in pages]
        remember_array(key, stacked)
        remember("pictures", key, {"folders": folders, "changed": changed})
    else:
        folders, changed = about["folders"], str(about.get("changed", ""))
    if changed and say is not None:
        say(f"note: {path}: {changed}")
    labels, classes = None, None
    if len(set(folders)) > 1:  # a folder of folders is a labelled set, as in torchvision's ImageFolder
        (labels,), classes = numbered([np.array(folders)], str(path))
    images = as_images(stacked, "channels_last" if stacked.ndim == 4 else "auto", str(path))
    return Images(images.pixels, images.divisor, labels, classes=classes), key


def _changed(pages: Sequence[Page], size: Size | None) -> str:
    """What resizing does to the pictures, in words; empty where all have the size."""
    others = [page.before for page in pages if size is not None and page.before != size]
    if size is None or not others:
        return ""
    sizes = sorted(set(others), key=lambda one: (one[0] * one[1], one))
    found = " x ".join(map(str, sizes[0]))
    found = found if len(sizes) == 1 else f"{found} to {' x '.join(map(str, sizes[-1]))}"
    stretched = sum(h * size[1] != w * size[0] for h, w in others)
    shapes = f"; {stretched:,} of them are stretched" if stretched else ""
    count, to = f"{len(others):,} of {len(pages):,} pictures", f"{size[0]} x {size[1]}"
    return f"{count}, of {found} pixels, are resized to {to}{shapes}"


def _all_pages(files: Sequence[Path], path: Path, say: Callable[[str], None] | None, size: Size | None) -> list[Page]:
    pages: list[Page] = []
    with told(say, f"reading the {len(files):,} pictures in {path}, which is done once") as at:
        for i, file in enumerate(files):
            for page in _pages(file, size):
                pages.append(page)
                first, this = ((p.colours.shape, str(p.colours.dtype)) for p in (pages[0], page))
                if first != this:
                    sizes = pages[0].colours.shape[:2] != page.colours.shape[:2]
                    how = ": --image-size 32, or HxW, resizes them" if sizes else ""
                    both = f"{pages[0].file.name} is {first}, {file.name} {this}"
                    raise InputError(f"pictures must be of one size and kind: {both}{how}")
            at(i / len(files))
    return pages


def _unreadable(path: Path) -> str:
    """What keeps this user from looking into a folder; empty if nothing does."""
    try:
        next(path.iterdir(), None)
    except OSError as error:
        return f" ({error.strerror})"
    return ""


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


def _pages(file: Path, size: Size | None) -> Iterator[Page]:
    from PIL import Image, ImageOps, ImageSequence

    try:
        with warnings.catch_warnings(), Image.open(file) as picture:
            warnings.simplefilter("ignore")  # of what Pillow reads all the same, or raises below
            count = getattr(picture, "n_frames", 1) if picture.format in PAGED else 1
            # The first picture of such a PNG is for viewers without animation, and not part of the animation.
            skipped = 1 if count > 1 and picture.info.get("default_image") else 0
            frames = ImageSequence.Iterator(picture) if count > 1 else [picture]
            # Pillow gives the later pages of a gray GIF as colours: one page of colours makes all of them so.
            upright = [ImageOps.exif_transpose(frame) for frame in frames][skipped:]
            parts = [_read(frame, any(map(_is_colour, upright)), file, size) for frame in upright]
            before = [(frame.height, frame.width) for frame in upright]
    except InputError:
        raise
    except PermissionError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    except Exception as error:  # a damaged file makes Pillow raise almost every kind
        said = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{file} cannot be read as a picture: {said}") from error
    for part, own in zip(parts, before, strict=True):
        yield Page(file, *part, own)


def _is_colour(picture: Any) -> bool:
    return picture.mode not in ("1", "L", "LA", "La", "I", "F") and not picture.mode.startswith("I;16")


def _read(picture: Any, colour: bool, file: Path, size: Size | None) -> tuple[np.ndarray, np.ndarray | None]:
    """The colours of a picture, and its opacity unless it is opaque everywhere."""
    if picture.mode in ("I", "F"):
        raise InputError(f"{file} has pixels of mode {picture.mode}, whose range is not known")
    if picture.mode.startswith("I;16"):
        if "transparency" in picture.info:
            raise InputError(f"{file} has a gray value of 16 bits that is transparent, which is not read: remove it")
        return np.asarray(resized(picture, size)).astype(np.uint16), None
    kind = "RGB" if colour else "L"
    if not picture.has_transparency_data:
        return np.asarray(resized(picture.convert(kind), size)), None
    both = np.asarray(resized(picture.convert("RGBA"), size))
    opacity = both[..., 3]
    colours = both[..., :3] if colour else both[..., 0]
    return colours, None if (opacity == 255).all() else opacity
