"""What the commands write by ``--out FILE``: arrays, a table or pictures, as the end of the name says."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from pyro_vae.errors import InputError
from pyro_vae.files import refuse_link, write_atomic

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
ARRAYS, TABLES = (".npy", ".npz"), (".csv",)
SIDE = 64  #: pixels of a side of a small image in a picture of many
MOST = 100  #: images in a picture of many


@dataclass(frozen=True)
class Output:
    """A result in the forms that it can be written in.

    Attributes:
        arrays: by name; the first is the one of a ``.npy`` file.
        table: columns by name, all of one length.
        images: ``(N, C, H, W)``, for pictures; None for what is no image.
        across: how many of them are in a row of a picture; None lets the number of images say.
    """

    arrays: Mapping[str, np.ndarray]
    table: Mapping[str, np.ndarray]
    images: np.ndarray | None = None
    across: int | None = None

    @cached_property
    def shown(self) -> np.ndarray:
        """The images, from 0 to 255; pixels outside [0, 1] are rescaled from the darkest to the brightest.

        A missing pixel (NaN) is of a middle gray.
        """
        assert self.images is not None
        missing = np.isnan(self.images)
        seen = self.images[~missing]
        low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 1.0)
        low, high = (0.0, 1.0) if 0 <= low <= high <= 1 else (low, high)
        scaled = np.where(missing, 0.5, (self.images - low) / max(high - low, 1e-12))
        return np.rint(255 * scaled.clip(0, 1)).astype(np.uint8)


def check_pictures(out: Path | None) -> None:
    """Refuse a picture of a table's rows, before any work is done.

    Raises:
        InputError: where ``out`` is a picture or a folder of pictures.
    """
    if out is not None and out.suffix.lower() not in (*ARRAYS, *TABLES):
        raise InputError(f"--out {out}: the rows of a table make no picture: choose {', '.join([*ARRAYS, *TABLES])}")


def check_out(out: Path | None, pictures: bool = False, folder: bool = False) -> None:
    """Refuse a name that nothing can be written by, before any work is done.

    Args:
        out: a file, or where pictures can be written a folder (a name without a suffix).
        pictures: whether the result is images.
        folder: whether it is a folder whatever its name.

    Raises:
        InputError: where no form ends like this name, or it is a link, or it names a folder in a file's place.
    """
    if out is None:
        return
    if folder:
        refuse_link(out)
        if out.exists() and not out.is_dir():
            raise InputError(f"--out {out} is a file, and a folder is needed: choose another name")
        return
    endings = [*ARRAYS, *TABLES, *(PICTURES if pictures else ())]
    suffix = out.suffix.lower()
    if suffix not in endings and not (pictures and not suffix):
        other = ", or a name without a suffix: a folder of pictures" if pictures else ""
        raise InputError(f"--out {out} ends in {suffix or 'nothing'}; it must end in {', '.join(endings)}{other}")
    refuse_link(out)
    if suffix and out.is_dir():
        raise InputError(f"--out {out} is a folder: choose the name of a file")
    if not suffix and out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file, and pictures go into a folder: choose another name")
    if not suffix and out.exists() and any(out.iterdir()):
        raise InputError(
            f"--out {out} is a folder that is not empty: its files and new pictures would mix; choose another"
        )


def save(output: Output, out: Path) -> str:
    """Write it; a file is replaced whole.

    Returns:
        What was written, in a line.

    Raises:
        InputError: where it cannot be written.
    """
    suffix = out.suffix.lower()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if not suffix:
            return _save_folder(output, out)
        write_atomic(out, _WRITERS.get(suffix, _picture)(output, suffix))
    except OSError as error:
        raise InputError(f"--out {out} cannot be written: {error.strerror or error}") from error
    if suffix in PICTURES and output.images is not None and len(output.images) > MOST:
        return f"written: {out}, the first {MOST} of {len(output.images):,} images; a folder or .npz takes all"
    return f"written: {out}"


def _npy(output: Output, _: str) -> bytes:
    content = io.BytesIO()
    np.save(content, next(iter(output.arrays.values())))
    return content.getvalue()


def _npz(output: Output, _: str) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, **output.arrays)  # type: ignore[arg-type]
    return content.getvalue()


def _csv(output: Output, _: str) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(output.table)
    columns = [column.astype(str) if column.dtype.kind == "f" else column for column in output.table.values()]
    writer.writerows(zip(*(column.tolist() for column in columns), strict=True))
    return text.getvalue()


_WRITERS: dict[str, Callable[[Output, str], bytes | str]] = {".npy": _npy, ".npz": _npz, ".csv": _csv}


def _picture(output: Output, suffix: str) -> bytes:
    """The first images in rows, each at least :data:`SIDE` pixels high, with a gray line between them."""
    tiles = output.shown[:MOST]
    grow = max(1, SIDE // max(tiles.shape[-2:]))
    tiles = tiles.repeat(grow, -1).repeat(grow, -2)
    across = output.across or int(np.ceil(len(tiles) ** 0.5))
    across = min(across, len(tiles))
    down = -(-len(tiles) // across)
    _, channels, height, width = tiles.shape
    sheet = np.full((channels, down * (height + 1) - 1, across * (width + 1) - 1), 128, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = i // across * (height + 1), i % across * (width + 1)
        sheet[:, top : top + height, left : left + width] = tile
    return _encoded(sheet, suffix)


def _encoded(image: np.ndarray, suffix: str) -> bytes:
    """One image ``(C, H, W)`` of bytes as a file; opacity is dropped where the format has none."""
    from PIL import Image

    modes = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
    if len(image) not in modes:
        raise InputError(f"images of {len(image)} channels make no picture: write them to a .npz file")
    channels = {2: 1, 4: 3}.get(len(image), len(image)) if suffix in (".jpg", ".jpeg", ".bmp") else len(image)
    pixels = image[0] if channels == 1 else np.moveaxis(image[:channels], 0, -1)
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels), modes[channels]).save(content, Image.registered_extensions()[suffix])
    return content.getvalue()


def _save_folder(output: Output, out: Path) -> str:
    out.mkdir(parents=True, exist_ok=True)
    digits = len(str(len(output.shown) - 1))
    for i, image in enumerate(output.shown):
        write_atomic(out / f"{i:0{digits}}.png", _encoded(image, ".png"))
    return f"written: {len(output.shown):,} pictures in {out}"


def flat(images: np.ndarray, name: str = "x", names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Columns x_1, ..., x_P of images ``(N, ...)``; a table's by their names."""
    columns = images.reshape(len(images), -1).T
    names = [f"{name}_{i + 1}" for i in range(len(columns))] if names is None else names
    return dict(zip(names, columns, strict=True))


def beside(own: Mapping[str, np.ndarray], values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A table whose first columns (row, draw, label) are a command's own; their names give way to those of the values.

    >>> list(beside({"row": np.arange(2), "draw": np.arange(2)}, {"draw": np.zeros(2)}))
    ['row', 'draw_', 'draw']
    """
    found: dict[str, np.ndarray] = {}
    for name, column in own.items():
        free = name
        while free in values or free in found:
            free += "_"
        found[free] = column
    return {**found, **values}
