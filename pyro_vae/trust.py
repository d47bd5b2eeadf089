"""The classes that a run folder or a configuration may name, checked before any import.

A file may come from somebody else. It may name the plugs of this project, those that an installed package declares
(:mod:`pyro_vae.plugs`) and the user's own (:mod:`pyro_vae.own`); everything else is refused, as text, unless the user
trusts the file. Words that the user types or passes in Python are not checked.
"""

import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pyro_vae.config import KINDS
from pyro_vae.errors import InputError
from pyro_vae.own import known, knows_folder, origin_of, remember
from pyro_vae.plain import is_number
from pyro_vae.plugs import can_be_chosen, installed

#: by module: a class from elsewhere is not this project's, whatever its name
_PROJECT = ("guides.", "pyro_vae.")
PROGRAM = "program"  #: the option that names a function, as MODULE:NAME
ALLOW = "if the code is yours or you trust it, add --trust (trust=True in Python)"


def concrete(kind: type) -> set[type]:
    """The classes of a kind that are loaded and can be chosen."""
    below: set[type] = set().union(*map(concrete, kind.__subclasses__()))
    return below | {kind} if can_be_chosen(kind) else below


def plugs(option: str) -> set[str]:
    """All names and class paths of the registered classes of an option: this project's, and installed packages'."""
    declared = installed(option)
    names: set[str] = set()
    for found in concrete(KINDS[option]):
        if found in declared or found.__module__.startswith(_PROJECT):
            names |= _paths(found)
    return names


def _paths(found: type) -> set[str]:
    """The class's name, and its path in its module and in each package above that exports it."""
    parts = found.__module__.split(".")
    modules = [".".join(parts[: i + 1]) for i in range(len(parts))]
    exporting = [m for m in modules if vars(sys.modules[m]).get(found.__name__) is found]
    return {found.__name__, *(f"{module}.{found.__name__}" for module in exporting)}


def named(table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each text in a table of options that could be the name of a class, with its option.

    A class option names a class. Beneath it, at any depth, so may a ``class_path`` and every text with a dot: this
    check does not guess which of these the parser or the class imports.

    Raises:
        InputError: if a key or a ``class_path`` hides a name.
    """
    for option, value in table.items():
        if "." in option or option == "config":
            raise InputError(f"the key {option!r} has no place in a file of options: write its value as a table")
        if option == PROGRAM and isinstance(value, str):
            yield option, value.replace(":", ".")
        elif option in KINDS and isinstance(value, str):
            yield option, value
        elif not isinstance(value, str):
            yield from ((option, name) for name in _below(value))


def _below(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if "." in value and not is_number(value):
            yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str) or "." in key:
                raise InputError(f"the key {key!r} has no place in a file of options: write its value as a table")
            if key != "class_path":
                yield from _below(inner)
            elif isinstance(inner, str):
                yield inner
            else:
                raise InputError("a class_path must be the name of a class")
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _below(inner)


def own_names(table: Mapping[str, Any]) -> set[str]:
    """The names in a table that are not registered plugs."""
    registered = set().union(*map(plugs, KINDS))
    return {name for _, name in named(table) if "." in name and name not in registered}


def check_names(table: Mapping[str, Any], where: str, trust: bool = False, typed: Collection[str] = ()) -> None:
    """Refuse a file's table that names code that is neither a plug nor the user's own; nothing is imported.

    Args:
        table: the options in the file.
        where: the name of the file in an error.
        trust: the user lets its code run.
        typed: class paths that the user named beside the file.

    Raises:
        InputError: in one line, which names the class and says how to allow it.
    """
    registered = set().union(*map(plugs, KINDS))
    loaded = {found.__name__ for kind in KINDS.values() for found in concrete(kind)}
    try:
        pairs = list(named(table))
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    for option, name in pairs:
        if name in registered or name in typed:
            continue
        if "." not in name and name not in loaded:
            continue  # no class at all: the parser knows the nearest names
        state = known(name)
        if state == "own":
            continue
        if not trust:
            changed = f", and {origin_of(name).file} has changed since you named it" if state == "changed" else ""
            raise InputError(f"{where} names {name!r} for --{option}, which is no installed plug{changed}: {ALLOW}")
        # For this process, which reads the file again; lasting if the user edited their own module.
        remember([name], lasting=state == "changed")


def check_places(table: Mapping[str, Any], where: str, trust: bool = False, typed: Collection[str] = ()) -> None:
    """Refuse a file of options that says where to write: only the user's typed options decide this.

    Args:
        table, where, trust: as for :func:`check_names`.
        typed: the options that the user gave beside the file.

    Raises:
        InputError: in one line, which says what to type.
    """
    for option in ("out", "data_root", "tracker"):
        value = table.get(option)
        if value is None or trust or option in typed:
            continue
        if option == "data_root" and isinstance(value, str) and knows_folder(Path(value)):
            continue
        raise InputError(
            f"{where} says {option}: {value}, and a file does not decide where to write:"
            f" type --{option} {value} if you want it, or --trust"
        )


def check_data_root(root: Path | None, where: str, trust: bool = False) -> str | None:
    """Whether a run folder may name the folder to read data from and to download to.

    Returns:
        A note to the user; empty if the user has named that folder before.

    Raises:
        InputError: if there is no such folder.
    """
    if root is None or trust or knows_folder(root):
        return None
    if not root.is_dir():
        raise InputError(f"{where} says data_root: {root}, which is no folder yet: add --trust to have it made")
    return f"note: data are taken from {root}, as {where} says"
