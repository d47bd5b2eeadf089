"""Tables: rows of numbers in arrays, data frames and ``.csv`` files; an empty cell and NaN are missing values."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pyro_vae.data.images import Images
from pyro_vae.errors import InputError
from pyro_vae.plain import is_number

#: stored types of pixels: rows of these in an array are images of one line, and no table
PIXELS = ("bool", "uint8", "uint16")
FLOATS = ("float16", "float32", "float64")


def is_table(array: np.ndarray) -> bool:
    """Whether an array is ``(N, P)`` numbers, and no pixels."""
    return array.ndim == 2 and array.dtype.name not in PIXELS


def as_table(array: np.ndarray, names: Sequence[str] | None, name: str) -> Images:
    """Rows ``(N, P)`` as images of shape 1, 1, P with the names of their columns; whole numbers become float64.

    Args:
        names: of the columns; None for "column 1" and so on.
        name: of the table in an error.

    Raises:
        InputError: if the array holds no numbers, or its columns have not a name each.
    """
    names = _numbered(array.shape[1]) if names is None else [str(one) for one in names]
    if array.size == 0:
        raise InputError(f"{name} is empty: its shape is {array.shape}")
    if len(names) != array.shape[1]:
        raise InputError(f"{name} has {array.shape[1]} columns and {len(names)} names")
    require_different(names, name)
    if array.dtype.name not in FLOATS or not array.dtype.isnative:
        columns = [numbers(array[:, i], one, name) for i, one in enumerate(names)]
        array = np.stack(columns, -1)
    return Images(array[:, None, None], names=tuple(names))


def require_different(columns: Sequence[str], name: str) -> None:
    """Raises InputError if two columns of a table have one name."""
    if twice := sorted({one for one in columns if columns.count(one) > 1}):
        raise InputError(f"{name} has two columns that are called {twice[0]!r}: rename one")


def _numbered(count: int) -> list[str]:
    return [f"column {i + 1}" for i in range(count)]


def in_order(rows: Any, names: Sequence[str] | None, wanted: Sequence[str], name: str) -> Any:
    """The columns of a table that a run knows, in the run's order; columns without names are taken as they come.

    Args:
        rows: ``(N, ..., P)``, an array or a tensor.
        names: of its columns.
        wanted: the names of the run's columns.
        name: of the table in an error.

    Raises:
        InputError: if a column is not there.
    """
    found = list(names or ())
    if found in ([], list(wanted), _numbered(len(found))):
        return rows
    if lacking := [one for one in wanted if one not in found]:
        raise InputError(f"{name} has no column {lacking[0]!r}, and the run was trained on it")
    return rows[..., [found.index(one) for one in wanted]]


def numbers(values: Any, column: str, name: str) -> np.ndarray:
    """A column as float64, with NaN for what is missing.

    Raises:
        InputError: if it holds dates, text or anything else that is no number; says what to do.
    """
    array = np.asarray(values)
    kind = array.dtype.kind
    if kind in "fiub":
        return array.astype(np.float64)
    if kind in "mM":
        raise InputError(f"{name}: column {column!r} holds dates: make numbers of them, or leave it out")
    if kind in "OUS":
        return _numbers(array.tolist(), f"{name}: column {column!r}")
    raise InputError(f"{name}: column {column!r} holds {array.dtype.name}, which is no real number: leave it out")


def _numbers(values: list[Any], column: str) -> np.ndarray:
    """Objects as numbers; text is refused, also where it is that of a number."""
    texts = [(row, str(one)[:30]) for row, one in enumerate(values) if isinstance(one, str | bytes) and one]
    strange = [(row, text) for row, text in texts if not is_number(text)]
    if texts and not strange:
        raise InputError(f"{column} holds numbers as text ({texts[0][1]!r}): make numbers of them")
    if strange and len(strange) < len([one for one in values if not _is_missing(one)]) / 2:
        row, text = strange[0]
        raise InputError(
            f"{column} holds {text!r} in row {row} (the first is row 0): correct it, or leave the cell empty if it is"
            " missing"
        )
    if strange:
        raise InputError(f"{column} holds text or dates ({strange[0][1]!r}): number its categories, or leave it out")
    try:
        return np.array([np.nan if _is_missing(one) else float(one) for one in values])
    except (TypeError, ValueError) as error:
        odd = next(one for one in values if not _is_missing(one) and not hasattr(one, "__float__"))
        raise InputError(f"{column} holds a {type(odd).__name__}, which is no number: leave it out") from error


def _is_missing(value: Any) -> bool:
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, str | bytes) and not value)
    )


def read_csv(path: Path) -> Any:
    """The data frame of a ``.csv`` file, whose first line names the columns.

    Raises:
        InputError: if pandas is not installed, or the file is no such table, or a column has no name.
    """
    try:
        import pandas
    except ImportError as error:
        raise InputError(f"{path} is read by pandas, which is not installed: pip install 'pyro_vae[table]'") from error
    try:
        found = pandas.read_csv(path, float_precision="round_trip")
        header = pandas.read_csv(path, header=None, nrows=1, dtype=str)
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        said = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path} cannot be read as a table: {said}") from error
    require_different([str(one) for one in header.iloc[0] if one == one], str(path))  # pandas renames them
    if len(found.columns) == 1 and (marks := [mark for mark in ";\t|" if mark in str(found.columns[0])]):
        raise InputError(f"{path} has one column, whose name holds {marks[0]!r}: separate its columns by commas")
    for i, name in enumerate(found.columns, start=1):
        if re.fullmatch(r"Unnamed: \d+(_level_\d+)?", str(name)):  # pandas' own name for none
            raise InputError(
                f"{path}: column {i} has no name, as a row index has none: name it, or leave it out"
                " (pandas: to_csv(path, index=False))"
            )
    return found


def as_labelled_table(found: Any, name: str) -> Images:
    """A table of ``sklearn.datasets`` (what its ``load_*`` gives), labels included.

    Args:
        name: in messages.
    """
    table = as_table(found.data, list(found.feature_names), name)
    return table.with_labels(torch.from_numpy(found.target).long(), found.target_names)
