"""Images that the caller holds: arrays, tensors, data frames, torch's data sets and their loaders."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from pyro_vae.errors import InputError

MEMORY = "memory"  #: the name of such data in a run's options
#: a column of a data frame with one of these names holds labels
LABELS = ("label", "labels", "target", "y")


class Frame(Protocol):
    """A data frame, as pandas and polars have it."""

    @property
    def columns(self) -> Any: ...

    def to_numpy(self) -> np.ndarray: ...


#: images ``(N, H, W)``, ``(N, C, H, W)``, ``(N, H, W, C)`` or rows ``(N, P)``; images and labels; or the arrays of a
#: ``.npz`` file by name (x, y; or x_train, y_train, x_test, ...)
InMemory = (
    np.ndarray | Tensor | Frame | Dataset[Any] | DataLoader[Any] | tuple[Any, Any] | list[Any] | Mapping[str, Any]
)


def is_in_memory(data: Any) -> bool:
    """Whether these are data themselves, and not the name of some."""
    kinds = (np.ndarray, Tensor, Dataset, DataLoader, tuple, list, Mapping)
    return isinstance(data, kinds) or (hasattr(data, "columns") and hasattr(data, "to_numpy"))


def arrays_of(data: Any) -> dict[str, np.ndarray]:
    """The arrays of data in memory by the names of a ``.npz`` file; an array or a tensor on the CPU is not copied.

    Raises:
        InputError: where nothing says what they hold.
    """
    if isinstance(data, Mapping):
        arrays = {str(name): _array(value) for name, value in data.items()}
        return {name: _as_rows(value) if name.startswith("x") else value for name, value in arrays.items()}
    if isinstance(data, DataLoader):
        data = list(data) if isinstance(data.dataset, IterableDataset) else data.dataset
        if isinstance(data, list):  # of batches
            return _with_labels([row for batch in data for row in _rows_of(batch)])
    if isinstance(data, TensorDataset):
        data = data.tensors if len(data.tensors) > 1 else data.tensors[0]
    if isinstance(data, IterableDataset):
        return _with_labels(list(data))
    if isinstance(data, Dataset):
        return _with_labels([data[i] for i in range(len(data))])  # type: ignore[arg-type]
    if hasattr(data, "columns") and hasattr(data, "to_numpy"):
        return _of_frame(data)
    if isinstance(data, tuple):
        if len(data) != 2:
            raise InputError(f"data is a tuple of {len(data)}: give images alone, or (images, labels)")
        return {"x": _as_rows(_array(data[0])), "y": _array(data[1])}
    return {"x": _as_rows(_array(data))}


def images_of(data: Any, image_shape: tuple[int, ...]) -> Any:
    """The images alone, a tensor or an array, in the shape that a model of such images takes where it is plain.

    Args:
        image_shape: channels, height, width.
    """
    if isinstance(data, Tensor):
        images: Any = data
    elif is_in_memory(data) and not isinstance(data, list | np.ndarray):
        found = arrays_of(data)
        if "x" not in found:
            raise InputError(f"x holds {', '.join(found)}: give one of them")
        images = found["x"]
    else:
        images = np.asarray(data)
    shape = tuple(images.shape[1:])
    fits = image_shape[:1] == (1,) and shape in (image_shape[1:], image_shape[2:] if image_shape[1:2] == (1,) else None)
    return images.reshape(len(images), *image_shape) if fits else images


def _array(value: Any) -> np.ndarray:
    if isinstance(value, Tensor):
        return value.detach().cpu().numpy()
    found = np.asarray(value)
    is_text = found.dtype == object and all(isinstance(one, str) for one in found.flat)
    return found.astype(str) if is_text else found


def _as_rows(array: np.ndarray) -> np.ndarray:
    """Rows of P numbers are images of one line."""
    return array[:, None, None] if array.ndim == 2 else array


def _rows_of(batch: Any) -> Iterator[Any]:
    """The items of a batch of a loader."""
    return zip(*batch, strict=True) if isinstance(batch, tuple | list) else iter(batch)


def _with_labels(items: list[Any]) -> dict[str, np.ndarray]:
    """The items of a data set: images, or pairs of an image and its label."""
    if not items:
        raise InputError("data is empty")
    if isinstance(items[0], tuple | list):
        columns = list(zip(*items, strict=True))
        if len(columns) > 2:
            raise InputError(f"data gives {len(columns)} things an item: give the image, or the image and its label")
        found = {"x": _as_rows(np.stack([_array(image) for image in columns[0]]))}
        return {**found, "y": np.stack([_array(label) for label in columns[1]])} if len(columns) == 2 else found
    return {"x": _as_rows(np.stack([_array(item) for item in items]))}


def _of_frame(frame: Any) -> dict[str, np.ndarray]:
    """A row is an image of one line; a column of labels is found by its name."""
    names = [str(name) for name in frame.columns]
    labels = [name for name in names if name in LABELS]
    if len(labels) > 1:
        raise InputError(f"data has the columns {' and '.join(labels)}: leave one of labels")
    whole = {name: _array(frame[column]) for name, column in zip(names, frame.columns, strict=True)}
    numbers = [value for name, value in whole.items() if name not in labels]
    if not numbers or any(value.dtype.kind not in "fiub" for value in numbers):
        raise InputError("data has columns that are no numbers: leave them out, or call the one of labels 'label'")
    x = np.stack(numbers, -1)
    x = x if x.dtype.name in ("uint8", "bool", "uint16") or x.dtype.kind == "f" else x.astype(np.float64)
    return {"x": _as_rows(x), **({"y": whole[labels[0]]} if labels else {})}
