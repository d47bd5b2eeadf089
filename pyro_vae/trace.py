"""The rows of ``trace.csv``: to and from text, with a check that they are the whole trace of one run."""

import csv
import hashlib
import io
import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from pyro_vae.errors import InputError

SPLITS = ("train", "validation", "test")


class TraceRow(NamedTuple):
    """One line of ``trace.csv``: means over the images of a split in one epoch, nats per image.

    The training row is the mean over the epoch's steps, while the weights move; the others are measured at its end.
    """

    step: int
    epoch: int
    split: str
    elbo: float
    log_likelihood: float
    kl: float
    beta: float
    grad_norm: float | None
    lr: float
    seconds: float
    images_per_second: float


COLUMNS = TraceRow._fields


def trace_text(rows: Iterable[TraceRow]) -> str:
    """The content of ``trace.csv``."""
    return trace_lines([COLUMNS, *rows])


def trace_lines(rows: Iterable[Sequence[object]]) -> str:
    """These rows of ``trace.csv``, without the names of the columns."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(["" if v is None else v for v in row] for row in rows)
    return text.getvalue()


def parse_trace(text: str, path: Path) -> list[TraceRow]:
    """The rows in a text, all of them and each once.

    A last line without an end, and a last epoch without all its rows, are being written, or a killed writer left them:
    they are left out, and a resumed run writes them again.

    Raises:
        InputError: if it is not a trace, or rows are missing, doubled, not finite or of an unknown split.
    """
    text = text[: text.rfind("\n") + 1]
    if text and tuple(text.partition("\n")[0].split(",")) != COLUMNS:
        raise InputError(f"{path} is not a trace: its columns are not {','.join(COLUMNS)}")
    try:
        rows = [
            TraceRow(
                step=int(row["step"]),
                epoch=int(row["epoch"]),
                split=row["split"],
                grad_norm=float(row["grad_norm"]) if row["grad_norm"] else None,
                **{name: float(row[name]) for name in COLUMNS[3:] if name != "grad_norm"},
            )
            for row in csv.DictReader(io.StringIO(text))
        ]
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise InputError(f"{path} is not a trace: {error!r}") from error
    rows = _whole_epochs(rows)
    if fault := _fault(rows):
        raise InputError(f"{path} is not the whole trace of a run: {fault}")
    return rows


def _whole_epochs(rows: list[TraceRow]) -> list[TraceRow]:
    """Without the last epoch, if it has only the first of the rows that the first epoch has."""
    if not rows or rows[0].epoch == rows[-1].epoch:
        return rows
    first = [row.split for row in rows if row.epoch == rows[0].epoch]
    last = [row.split for row in rows if row.epoch == rows[-1].epoch]
    return rows[: -len(last)] if len(last) < len(first) and last == first[: len(last)] else rows


def _fault(rows: Sequence[TraceRow]) -> str | None:
    """The error in the order of the rows: each epoch, from the first, has a row of each split, in one order."""
    expected: list[str] = []
    step = 0
    for row in rows:
        if not all(math.isfinite(value) for value in row if isinstance(value, float)):
            return f"epoch {row.epoch} has a number that is not finite"
    for number, (epoch, group) in enumerate(groupby(rows, lambda row: row.epoch), 1):
        together = list(group)
        splits = [row.split for row in together]
        expected = expected or splits
        for split in splits:
            if split not in SPLITS:
                return f"epoch {epoch} has a row of the split {split!r}, and there are {', '.join(SPLITS)}"
        if len(set(splits)) < len(splits):
            return f"epoch {epoch} has two rows of one split"
        if epoch != number:
            return f"epoch {number} is missing before epoch {epoch}" if epoch > number else f"epoch {epoch} comes again"
        if splits != expected:
            return f"epoch {epoch} has the rows {', '.join(splits)}, and epoch 1 {', '.join(expected)}"
        if together[0].step <= step or len({row.step for row in together}) > 1:
            return f"the steps of epoch {epoch} do not follow those before"
        step = together[0].step
    return None


def trace_digest(rows: Iterable[TraceRow], before: str = "") -> str:
    """The identity of a trace: a SHA-256 chain, in which each epoch extends the digest of the epochs before."""
    for _, group in groupby(rows, lambda row: row.epoch):
        exact = [(*row[:3], *(v if v is None else float(v) for v in row[3:])) for row in group]
        before = hashlib.sha256((before + trace_lines(exact)).encode()).hexdigest()
    return before
