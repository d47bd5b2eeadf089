"""A class option takes a class of its kind: checked before any object is made, on every way in."""

import sys
from collections.abc import Iterator
from typing import Any

from jsonargparse import Namespace

from pyro_vae.config import KINDS, check_kind
from pyro_vae.errors import InputError


def check_kinds(namespace: Namespace) -> None:
    """What each class option names is a class of its kind, and what is named beneath it is a class; none is called.

    Raises:
        InputError: where a function, or a class of another kind, was named.
    """
    for option, kind in KINDS.items():
        value = namespace.get(option)
        if isinstance(value, Namespace):
            check_kind(option, kind, _imported(value.class_path))
            plain = value.as_dict()
            for path in _paths_in(plain.get("init_args")):
                if not isinstance(_imported(path), type):
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


def _imported(path: str) -> Any:
    """The object of an import path that the parser has imported already."""
    module = path
    while module not in sys.modules and "." in module:
        module = module.rpartition(".")[0]
    found: Any = sys.modules.get(module)
    for name in path[len(module) + 1 :].split("."):
        found = getattr(found, name, None)
    return found
