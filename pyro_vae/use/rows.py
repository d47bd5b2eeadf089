"""The rows that a trained run is put to use on: read as ``--data`` reads them, and brought to what the run has seen."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from pyro_vae.build import sees_binary
from pyro_vae.data import Binarizer, Images, Layout, is_array_file, load_data, read_rows
from pyro_vae.data.images import narrow
from pyro_vae.data.rows import in_order
from pyro_vae.data.sets import data_sets
from pyro_vae.encoding import Source, columns_of_run, read_images, source_of
from pyro_vae.errors import InputError
from pyro_vae.runs import Run

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Reading:
    """How DATA are read.

    Args:
        split: these rows of the data's split; by default all rows of a file or a folder, in their order, and the test
            images of data that have splits of their own.
        layout: of an array file with four axes: N x C x H x W is channels_first, N x H x W x C channels_last; by
            default the run's.
        binarize: auto draws zeros and ones from gray images, once, where training did; none leaves them gray.
        data_root: the folder of the data sets; by default the folder that the run was trained with.
    """

    split: Split | None = None
    layout: Layout | None = None
    binarize: Literal["auto", "none"] = "auto"
    data_root: Path | None = None


@dataclass(frozen=True)
class Rows:
    """Rows for a run.

    Attributes:
        source: the pixels, as the run's model sees them.
        labels: the name of each row's label, ``""`` where it is not known; None where the data have none.
        binarised: whether gray values became zeros and ones by a draw.
    """

    source: Source
    labels: tuple[str, ...] | None = None
    binarised: bool = False

    def __len__(self) -> int:
        return len(self.source.images)

    def columns(self) -> dict[str, np.ndarray]:
        """The first columns of a table of these rows: their numbers, and their labels where there are some."""
        return {"row": np.arange(len(self)), **self.label_array()}

    def label_array(self) -> dict[str, np.ndarray]:
        """The labels as an array of text, by the name "label"; nothing without labels."""
        return {} if self.labels is None else {"label": np.array(self.labels, dtype=np.str_)}


def rows_of(
    run: Run, data: Any, reading: Reading = Reading(), seed: int = 0, say: Callable[[str], None] | None = None
) -> Rows:
    """Rows of a data set, of a file, of a folder of pictures or of data in memory.

    With seed 0 the draw of zeros and ones is that of ``evaluate``.

    Args:
        data: what ``--data`` takes, as text or a path, or data in memory.
        reading: how they are read; only ``binarize`` is of use to data in memory.
        seed: of the draw of zeros and ones.
        say: takes a line about reading that takes long; None says nothing.

    Raises:
        InputError: where there are no such data, or of another shape or on another scale than the run's.
    """
    if isinstance(data, str | Path):
        images = _read(run, str(data), reading, say)
        columns = columns_of_run(run)
        if columns is not None:
            images = replace(images, pixels=in_order(images.pixels, images.names, columns, str(data)))
        if images.image_shape != tuple(run.model.image_shape):
            raise InputError(
                f"{data} has images of shape {images.image_shape}, and the run was trained on"
                f" {tuple(run.model.image_shape)}"
            )
        stored = images.pixels.numpy(force=True) if isinstance(images.pixels, torch.Tensor) else images.pixels
        stored = stored if images.rows is None else stored[images.rows]
        rows = Rows(source_of(run, stored, images.divisor, str(data)), _labels(images))
    else:
        rows = Rows(read_images(data, run))
    read_images(rows.source, run)
    if reading.binarize == "none" or not sees_binary(run.config, run.model):
        return rows
    return _binarised(rows, seed)


def _read(run: Run, name: str, reading: Reading, say: Callable[[str], None] | None) -> Images:
    config = run.config
    layout: Layout = "auto"
    if reading.layout is not None or is_array_file(name):
        layout = reading.layout or config.layout
    root = reading.data_root or config.data_root
    size = config.size if Path(name).is_dir() else None
    if reading.split is None:
        return read_rows(name, root, layout, say, size, columns_of_run(run) or ())
    validation = config.validation if _is_own(run, name) else None
    data = load_data(name, root, validation, layout, say, image_size=size, missing=config.takes_missing)
    return getattr(data, reading.split)


def _is_own(run: Run, name: str) -> bool:
    """Whether a name is that of the data that the run was trained on, whose options keep whole paths."""
    return name == run.config.data or (name not in data_sets() and str(Path(name).resolve()) == run.config.data)


def _labels(images: Images) -> tuple[str, ...] | None:
    if images.labels is None:
        return None
    numbers = images.labels.tolist()
    if images.classes is None:
        return tuple("" if number < 0 else str(number) for number in numbers)
    return tuple("" if number < 0 else images.classes[number] for number in numbers)


def _binarised(rows: Rows, seed: int) -> Rows:
    """Zeros and ones, one byte each, whatever the gray values are stored as; two bytes where some are missing."""
    source, parts, gray = rows.source, [], False
    binarizer, generator = Binarizer(True, source.missing), torch.Generator().manual_seed(seed)
    for start in range(0, len(rows), 100):  # as Binarizer.held_out does, whose draws these are
        x = source.batch(slice(start, start + 100)).cpu()
        gray = gray or bool(((x != 0) & (x != 1) & ~x.isnan()).any())
        parts.append(narrow(binarizer(x, generator)))
    bits = torch.cat(parts)  # of half precision where a part is
    held: Any = bits.to(source.images.device) if isinstance(source.images, torch.Tensor) else bits.numpy()
    return replace(rows, source=replace(source, images=held, divisor=1.0, low=0.0, high=1.0), binarised=gray)
