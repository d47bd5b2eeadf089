"""What is known of a column of a table before training: its name, the kind of its likelihood, its place and scale."""

import csv
import io
from collections.abc import Mapping
from typing import Any, NamedTuple

from pyro_vae.errors import InputError, nearest_names

FILE = "columns.csv"  #: in the folder of a run that has columns

#: the kinds of a column's likelihood
KINDS = ("Gaussian", "StudentT", "LogNormal", "Bernoulli", "Categorical", "Poisson", "NegativeBinomial")


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        name: as in the file.
        kind: of its likelihood, one of :data:`KINDS`.
        centre, scale: the mean and the standard deviation of its training values; of their logarithms for LogNormal.
        levels: the values of a Categorical column, in ascending order.
        shares: how frequent each level is in training.
    """

    name: str
    kind: str = "Gaussian"
    centre: float = 0.0
    scale: float = 1.0
    levels: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as a checkpoint keeps them."""
        return {**self._asdict(), "levels": list(self.levels), "shares": list(self.shares)}

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "Column":
        """What :meth:`to_dict` gave."""
        return cls(**{**kept, "levels": tuple(kept["levels"]), "shares": tuple(kept["shares"])})


def as_csv(columns: tuple[Column, ...]) -> str:
    """The columns as a table of text, for people; the checkpoint holds the same."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "likelihood", "centre", "scale", "levels"])
    for one in columns:
        levels = " ".join(f"{level:g}" for level in one.levels)
        writer.writerow([one.name, one.kind, repr(one.centre), repr(one.scale), levels])
    return text.getvalue()


def given_kinds(text: str | None) -> dict[str, str]:
    """The kinds that a user gives to some columns.

    Args:
        text: ``NAME=KIND,NAME=KIND``; None for no column.

    Raises:
        InputError: if it has another form, or a kind is unknown.

    >>> given_kinds("age=Poisson, blood pressure=StudentT")
    {'age': 'Poisson', 'blood pressure': 'StudentT'}
    """
    found: dict[str, str] = {}
    for word in (text or "").split(",") if text else []:
        name, equals, kind = (part.strip() for part in word.rpartition("="))
        if not equals or not name:
            raise InputError(f"--columns is NAME=KIND,NAME=KIND, and {word.strip()!r} is not so")
        if kind not in KINDS:
            near = nearest_names(kind, KINDS) or KINDS
            raise InputError(f"--columns: no kind {kind!r}; nearest are {', '.join(near)} (of {', '.join(KINDS)})")
        found[name] = kind
    return found


def summary(columns: tuple[Column, ...]) -> str:
    """The kinds of all columns in a line: ``Gaussian: a, b; Poisson: c``."""
    by_kind = {kind: [one.name for one in columns if one.kind == kind] for kind in KINDS}

    def listed(names: list[str]) -> str:
        return ", ".join(names) if len(names) <= 20 else f"{', '.join(names[:19])} and {len(names) - 19} more"

    return "; ".join(f"{kind}: {listed(names)}" for kind, names in by_kind.items() if names)
