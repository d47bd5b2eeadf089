"""This project's docstrings, as Sphinx wants them: bars are no substitutions, and each argument has its own line."""

import inspect
import re
import sys
from typing import Any

from sphinx.application import Sphinx

OWN = ("guides", "pyro_vae")
LITERAL = re.compile(r"(``.*?``|:[\w:]+:`.*?`)")
SEVERAL = re.compile(r"^(\s+)(\w+(?:, \w+)+): (.*)$")


def without_substitutions(line: str) -> str:
    """A line whose bars, as in |g|, are bars: those in literals, in roles and in doctests are left alone."""
    if line.lstrip().startswith((">>>", "...", ".. ")):
        return line
    parts = LITERAL.split(line)
    return "".join(part if i % 2 else re.sub(r"(?<!\\)\|", r"\\|", part) for i, part in enumerate(parts))


def one_name_a_line(lines: list[str]) -> list[str]:
    """``low, high: the range`` as two entries with the same text; napoleon knows no entry of several names.

    >>> one_name_a_line(["Args:", "    low, high: the", "        range.", "    n: a number."])
    ['Args:', '    low: the', '        range.', '    high: the', '        range.', '    n: a number.']
    """
    found: list[str] = []
    i = 0
    while i < len(lines):
        several = SEVERAL.match(lines[i])
        end = i + 1
        if several is None:
            found.append(lines[i])
        else:
            indent, names, text = several.groups()
            while end < len(lines) and lines[end].startswith(f"{indent} "):
                end += 1
            for name in names.split(", "):
                found += [f"{indent}{name}: {text}", *lines[i + 1 : end]]
        i = end
    return found


def process(app: Sphinx, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    if isinstance(found, (dict, list, tuple)):  # the docstring of its type, unless a comment gives its own
        own = getattr(type(found), "__doc__", "") or ""
        if lines and lines[0].strip() == own.strip().splitlines()[0].strip():
            lines[:] = []
    lines[:] = [without_substitutions(line) for line in one_name_a_line(lines)]


def skip(app: Sphinx, what: str, name: str, found: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out methods whose words are another library's: torch's ``forward``, scikit-learn's metadata."""
    function = found.fget if isinstance(found, property) else found
    module, qualified = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    if not callable(function) or not module:
        return None
    if module.split(".")[0] not in OWN:
        return True
    owner: Any = sys.modules.get(module)
    for part in qualified.split(".")[:-1]:
        owner = getattr(owner, part, None)
    if function.__doc__ or not inspect.isclass(owner):
        return None
    giver = next((one for one in owner.__mro__[1:] if getattr(vars(one).get(name), "__doc__", None)), None)
    return True if giver is not None and giver.__module__.split(".")[0] not in OWN else None


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", process, priority=400)  # before napoleon's
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
