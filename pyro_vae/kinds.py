"""Each class option must have a class of its kind; checked before any object is made, for every source of options."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from jsonargparse import Namespace

from pyro_vae.config import KINDS, Config, check_kind
from pyro_vae.errors import InputError


def check_given(table: Mapping[str, Any], where: str) -> None:
    """Check that a table gives each option a value: ``guide: null`` would be read as its default.

    Args:
        table: of options, as given.
        where: the name of the table in an error.

    Raises:
        InputError: if an option that has a default other than null is null, or a class option is an empty table.
    """
    for name, value in table.items():
        field = Config.__dataclass_fields__.get(name)
        if field is not None and field.default is not None and (value is None or (name in KINDS and value == {})):
            raise InputError(f"{where} gives no value to {name}: leave it out for its default, or name one")


def check_kinds(namespace: Namespace) -> None:
    """Check that each class option, and each name beneath it, is a class of its kind; none is called.

    Raises:
        InputError: if a function, or a class of another kind, was named.
    """
    for option, kind in KINDS.items():
        value = namespace.get(option)
        if isinstance(value, Namespace):
            check_kind(option, kind, imported(value.class_path))
            plain = value.as_dict()
            for path in _paths_in(plain.get("init_args")):
                if not isinstance(imported(path), type):
                    raise InputError(f"--{option}: {path} is no class")
        elif value is not None:
            check_kind(option, kind, value)


def _paths_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("class_path"), str):
            yield value["class_path"]
        for inner in value.values():
            yield from _paths_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _paths_in(inner)


def imported(path: str) -> Any:
    """The object of an import path that the parser has imported already."""
    module = path
    while module not in sys.modules and "." in module:
        module = module.rpartition(".")[0]
    found: Any = sys.modules.get(module)
    for name in path[len(module) + 1 :].split("."):
        found = getattr(found, name, None)
    return found
