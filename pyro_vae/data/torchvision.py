"""Data sets that torchvision downloads. Files that are there are read without it, because its import takes seconds."""

from pathlib import Path

import numpy as np
import torch

from pyro_vae.data.idx import read_idx
from pyro_vae.data.images import Images
from pyro_vae.data.sets.base import NO_NETWORK
from pyro_vae.data.splits import Splits
from pyro_vae.errors import InputError

PARTS = ("train", "t10k")
KINDS = {"images-idx3-ubyte": 3, "labels-idx1-ubyte": 1}  #: the axes of each file's array


def read_torchvision(name: str, class_name: str, root: Path) -> Splits:
    """The class's own test images; the last 5,000 of its training images are for validation.

    Args:
        name: how an error calls the data set.
        class_name: of ``torchvision.datasets``.
        root: where its files are looked for and kept.

    Raises:
        InputError: where torchvision does not import, files are damaged, or they cannot be downloaded.
    """
    if all(file.exists() for file in files_of(class_name, root)):
        try:
            both, test = (_read(root / class_name / "raw", part) for part in PARTS)
        except (OSError, ValueError) as error:
            raise InputError(f"the files of {name} in {root} are damaged: {error}") from error
    else:
        both, test = _downloaded(name, class_name, root)
    rows = np.arange(len(both))
    return both.take(rows[:-5000]), both.take(rows[-5000:]), test


def files_of(class_name: str, root: Path) -> list[Path]:
    """The files of :func:`read_torchvision`."""
    return [root / class_name / "raw" / f"{part}-{kind}" for part in PARTS for kind in KINDS]


def _read(folder: Path, part: str) -> Images:
    pixels, labels = (read_idx(folder / f"{part}-{kind}", axes) for kind, axes in KINDS.items())
    if len(pixels) != len(labels):
        raise ValueError(f"{part} has {len(pixels)} images and {len(labels)} labels")
    return Images(pixels[:, None], 255.0, torch.from_numpy(labels.astype(np.int64)))


def _downloaded(name: str, class_name: str, root: Path) -> tuple[Images, Images]:
    try:
        from torchvision import datasets
    except (ImportError, RuntimeError) as error:
        # A torchvision for another torch fails with: operator torchvision::nms does not exist.
        raise InputError(
            f"{name} is read by torchvision, which does not import beside this torch ({str(error).splitlines()[0]}):"
            f" install the torchvision that belongs to torch {torch.__version__}; {NO_NETWORK}"
        ) from error
    source = getattr(datasets, class_name)

    def part(train: bool) -> Images:
        try:
            found = source(root, train=train, download=False)
        except Exception as absent:
            if "not found" not in str(absent):  # whatever torchvision finds wrong in a file that is there
                raise InputError(f"the files of {name} in {root} are damaged: {_last_line(absent)}") from absent
            try:
                found = source(root, train=train, download=True)
            except (OSError, RuntimeError) as error:
                tried = " and ".join(source.mirrors)
                files = ", ".join(file.removesuffix(".gz") for file, _ in source.resources)
                raise InputError(
                    f"{name} is not in {root} and could not be downloaded from {tried} ({_last_line(error)}):"
                    f" put {files} into {root / class_name / 'raw'}, or name the folder above with --data-root;"
                    f" {NO_NETWORK}"
                ) from error
        return Images(found.data.numpy()[:, None], 255.0, found.targets)

    return part(True), part(False)


def _last_line(error: Exception) -> str:
    # torchvision's errors have several lines, one part for each mirror.
    return str(error).strip(" :()\n").splitlines()[-1]
