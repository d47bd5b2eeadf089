"""``check_data_set``: whether a named data set keeps its contract."""

from pathlib import Path

import torch

from pyro_vae.data.images import Images
from pyro_vae.data.looking import described
from pyro_vae.data.sets import NamedData
from pyro_vae.data.sources import root_of_data
from pyro_vae.models import LIKELIHOODS
from pyro_vae.plugs import installed
from pyro_vae.testing.context import looking_at, require, require_shape


def check_data_set(source: NamedData, root: Path | str | None = None) -> None:
    """Raise an error that says what is wrong with a data set; return None where nothing is.

    It is read twice. Looked at: its name and likelihood, the number and shape of the images of each split against the
    declaration, that pixels are finite and not all alike, that no image is in two splits of one array, that labels are
    whole numbers, one for each image, and that the second reading gives the same images.

    Args:
        source: the declaration.
        root: the folder of downloaded files; by default PYRO_VAE_DATA or the user's cache.

    Raises:
        AssertionError: where the data set breaks the contract.
        InputError: where it cannot be had.

    Example:
        >>> from pyro_vae.data.sets.digits import DIGITS
        >>> check_data_set(DIGITS)
    """
    root = root_of_data(root)
    with looking_at(source.name):
        require(source.name.isidentifier(), "its name must be letters, digits and underscores")
        known = {*LIKELIHOODS, *(one.__name__ for one in installed("likelihood"))}
        require(
            source.likelihood in known, f"its likelihood is {source.likelihood!r}, which is none of {sorted(known)}"
        )
        splits, again = source.read(root), source.read(root)
        require(len(splits) == 3, f"it is read as {len(splits)} splits, not as training, validation and test images")
        described(source.name, splits, source.likelihood)
        for name, part, other, count in zip(
            ("training", "validation", "test"), splits, again, source.images, strict=True
        ):
            with looking_at(f"{name} images"):
                _check_split(part, other, count, source.image_shape)
        _check_apart(splits)


def _check_split(part: Images, again: Images, count: int, shape: tuple[int, ...]) -> None:
    require(len(part) == count, f"there are {len(part)}, and {count} are declared")
    require_shape(part.image_shape, shape, "an image")
    if part.labels is not None:
        require_shape(part.labels.shape, (count,), "labels")
        require(part.labels.dtype == torch.int64, f"labels are {part.labels.dtype}, not int64")
        require(bool((part.labels >= -1).all()), "a label is below -1")
    same = len(again) == count and all(map(torch.equal, part.chunks(1000), again.chunks(1000)))
    require(same, "a second reading gives other images; splits must never change")


def _check_apart(splits: tuple[Images, ...]) -> None:
    for i, one in enumerate(splits):
        for other in splits[i + 1 :]:
            if one.pixels is other.pixels and one.rows is not None and other.rows is not None:
                require(not set(one.rows.tolist()) & set(other.rows.tolist()), "an image is in two splits")
