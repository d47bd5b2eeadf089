"""Tables of the terminal: a run's name is never folded, and the caption names the columns that do not fit."""

from collections.abc import Sequence
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pyro_vae.terminal import printable

UNLIMITED = 100_000  #: letters, if the output is no terminal


def figure(value: float, sign: str = "", digits: int = 2) -> str:
    """A figure, by default in nats per image, as every line, table and report shows it.

    >>> figure(1.234), figure(1.234, "+")
    ('1.23', '+1.23')
    """
    return f"{value:{sign}.{digits}f}"


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        name: its head.
        keep: columns with a low number are left out first when the terminal is narrow; 0 is never left out.
        left: whether its text is aligned at the left.
        wraps: the smallest width in letters, if its text may wrap; 0 for never.
    """

    name: str
    keep: int = 0
    left: bool = False
    wraps: int = 0


class Sheet(NamedTuple):
    """The content of a table, before its width is known.

    Attributes:
        columns: from left to right.
        sections: rows of cells, with a line between two sections.
    """

    columns: Sequence[Column]
    sections: Sequence[Sequence[Sequence[str]]]
    title: str = ""
    caption: str = ""


def fitted(sheet: Sheet, width: int = UNLIMITED) -> Table:
    """The table with the columns that fit; the caption names those that do not.

    Args:
        width: in letters. Columns that are never left out may make it wider.
    """
    sections = [[[printable(cell) for cell in row] for row in rows] for rows in sheet.sections]
    sheet = sheet._replace(sections=sections, columns=[c._replace(name=printable(c.name)) for c in sheet.columns])
    shown = list(range(len(sheet.columns)))
    while _width(sheet, shown) > width:
        droppable = [i for i in shown if sheet.columns[i].keep]
        if not droppable:
            break
        shown.remove(min(droppable, key=lambda i: sheet.columns[i].keep))
    left_out = [column.name for i, column in enumerate(sheet.columns) if i not in shown]
    caption = [printable(sheet.caption, keep="\n")] if sheet.caption else []
    caption += [f"no room for: {', '.join(left_out)}"] if left_out else []
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left", caption_justify="left")
    table.title, table.caption = escape(printable(sheet.title)) or None, escape("\n".join(caption)) or None
    spare = width - _width(sheet, shown)
    for i in shown:
        column = sheet.columns[i]
        most = column.wraps + max(0, spare) if column.wraps else None
        justify = "left" if column.left else "right"
        table.add_column(escape(column.name), justify=justify, no_wrap=not column.wraps, max_width=most)  # type: ignore[arg-type]
    for section in sheet.sections:
        for row in section:
            table.add_row(*(escape(row[i]) for i in shown))
        table.add_section()
    return table


def _width(sheet: Sheet, shown: Sequence[int]) -> int:
    """The width of these columns in letters, with wrapping ones at their narrowest."""
    rows = [[column.name for column in sheet.columns], *(row for section in sheet.sections for row in section)]
    whole = [max(len(row[i]) for row in rows) for i in shown]
    least = [min(w, sheet.columns[i].wraps or w) for i, w in zip(shown, whole, strict=True)]
    return sum(least) + 2 * len(shown) + 1  # a blank and a line of the box beside each


def room(console: Console) -> int:
    """The width of the terminal in letters; without a terminal, the width that a table needs."""
    return console.width if console.is_terminal else UNLIMITED


def print_table(console: Console, sheet: Sheet) -> None:
    """Print a sheet; without a terminal, as wide as it needs."""
    table = fitted(sheet, room(console))
    needed = console.measure(table, options=console.options.update(width=UNLIMITED)).maximum
    before, console.width = console.width, max(console.width, needed)
    console.print(table)
    console.width = before
