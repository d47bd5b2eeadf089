"""The values that a column of a table can have, by the kind of its likelihood."""

from collections.abc import Sequence

import numpy as np

from pyro_vae.columns import Column
from pyro_vae.errors import InputError

#: what is wrong with a value outside a kind's support; the kinds that are not here take any number
WHY = {
    "LogNormal": "which is not positive",
    "Bernoulli": "which is neither 0 nor 1",
    "Poisson": "which is no count",
    "NegativeBinomial": "which is no count",
    "Categorical": "which is none of its levels",
}
NAMED = 10  #: levels in a message


def outside(kind: str, x: np.ndarray, levels: Sequence[float] | None = None) -> np.ndarray:
    """Where values are outside the support of a kind; a missing one (NaN) never is.

    Args:
        kind: one of :data:`pyro_vae.columns.KINDS`.
        x: values, ``(N,)``.
        levels: of a Categorical column; None where any number can still be one.

    >>> outside("Poisson", np.array([3.0, 2.5, -1.0, np.nan])).tolist()
    [False, True, True, False]
    """
    if kind == "LogNormal":
        return x <= 0
    if kind in ("Poisson", "NegativeBinomial"):
        return (x < 0) | ((x % 1 != 0) & ~np.isnan(x))
    allowed = (0.0, 1.0) if kind == "Bernoulli" else levels if kind == "Categorical" else None
    return np.zeros(x.shape, bool) if allowed is None else ~np.isin(x, allowed) & ~np.isnan(x)


def check_rows(x: np.ndarray, columns: Sequence[Column], name: str, first: int = 0) -> None:
    """Refuse rows with a value that a run's column cannot have.

    Args:
        x: rows as the run sees them, ``(N, P)``.
        columns: of the run, P.
        name: of the rows in an error.
        first: the number of the first of these rows.

    Raises:
        InputError: names the column, the row and the value.
    """
    for values, column in zip(x.T, columns, strict=True):
        bad = outside(column.kind, values, column.levels)
        if bad.any():
            row = int(bad.argmax())
            shown = ", ".join(f"{level:g}" for level in column.levels[:NAMED])
            levels = f" ({shown}{', ...' if len(column.levels) > NAMED else ''})" if shown else ""
            raise InputError(
                f"{name}: column {column.name!r} holds {values[row]:g} in row {first + row} (the first is row 0),"
                f" {WHY[column.kind]}{levels}, and its likelihood is {column.kind}: correct it, or make it missing"
            )
