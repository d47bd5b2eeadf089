"""Images that the caller holds: arrays, tensors, data frames, torch's data sets and their loaders."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from pyro_vae.data.rows import FLOATS, in_order, numbers, require_different
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
    return isinstance(data, kinds) or _is_frame(data)


def _is_frame(data: Any) -> bool:
    return hasattr(data, "columns") and hasattr(data, "to_numpy")


def arrays_of(data: Any, columns: Sequence[str] = (), name: str = "data") -> dict[str, np.ndarray]:
    """The arrays of data in memory by the names of a ``.npz`` file; an array or a tensor on the CPU is not copied.

    Args:
        columns: of a data frame, which are no labels whatever their names: those that a run was trained on.
        name: of a data frame in an error.

    Raises:
        InputError: where nothing says what they hold.
    """
    if isinstance(data, Mapping):
        return {str(name): _array(value) for name, value in data.items()}
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
    if _is_frame(data):
        return _of_frame(data, tuple(label for label in LABELS if label not in columns), name)
    if isinstance(data, tuple):
        if len(data) != 2:
            raise InputError(f"data is a tuple of {len(data)}: give images alone, or (images, labels)")
        # a frame's labels are in the second, as in scikit-learn's (X, y)
        rows = _of_frame(data[0], ()) if _is_frame(data[0]) else {"x": _array(data[0])}
        return {**rows, "y": _array(data[1])}
    return {"x": _array(data)}


def images_of(data: Any, image_shape: tuple[int, ...], names: Sequence[str] | None = None) -> Any:
    """The images alone, a tensor or an array, in the shape that a model of such images takes where it is plain.

    Args:
        image_shape: channels, height, width.
        names: of the columns of a table, which a data frame may have in another order.
    """
    if isinstance(data, Tensor):
        images: Any = data
    elif is_in_memory(data) and not isinstance(data, list | np.ndarray):
        found = arrays_of(data, names or ())
        if "x" not in found:
            raise InputError(f"x holds {', '.join(found)}: give one of them")
        images = found["x"]
        if names is not None and "names" in found:
            images = in_order(images, found["names"].tolist(), names, "x")
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
        found = {"x": np.stack([_array(image) for image in columns[0]])}
        return {**found, "y": np.stack([_array(label) for label in columns[1]])} if len(columns) == 2 else found
    return {"x": np.stack([_array(item) for item in items])}


def _of_frame(frame: Any, labels: tuple[str, ...] = LABELS, name: str = "data") -> dict[str, np.ndarray]:
    """A row is a row of a table, whatever the types of its columns; a column of labels is found by its name."""
    columns = [str(column) for column in frame.columns]
    require_different(columns, name)
    found = [column for column in columns if column in labels]
    if len(found) > 1:
        raise InputError(f"{name} has the columns {' and '.join(found)}: leave one of labels")
    whole = {column: _array(frame[key]) for column, key in zip(columns, frame.columns, strict=True)}
    kept = [column for column in columns if column not in found]
    if not kept:
        raise InputError(f"{name} has no column beside that of labels")
    values = [whole[column] for column in kept]
    if len({value.dtype.name for value in values}) > 1 or values[0].dtype.name not in FLOATS:
        values = [numbers(value, column, name) for value, column in zip(values, kept, strict=True)]
    return {"x": np.stack(values, -1), "names": np.array(kept), **({"y": whole[found[0]]} if found else {})}
