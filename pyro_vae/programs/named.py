"""A pair by its import path, as ``--program my_module:make`` names it."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch

from pyro_vae.errors import InputError
from pyro_vae.programs.parts import ProgramGuide, ProgramModel, parts_of


def named_pair(path: str, row_shape: tuple[int, ...]) -> tuple[ProgramModel, ProgramGuide]:
    """The pair that a function or a class of the user's makes, with its first weights.

    Args:
        path: ``MODULE:NAME`` of what is called without arguments; it gives ``(model, guide)``, what ``pyro_vae.wrap``
            gives, or an object with the methods ``model`` and ``guide``.
        row_shape: of one row of x.

    Raises:
        InputError: where there is no such name, it makes no pair, or the pair does not take such rows.
    """
    model, guide = _pair(path, _imported(path))
    parts = (model, guide) if isinstance(model, ProgramModel) else parts_of(model, guide)
    try:
        parts[0].programs.layout(torch.rand(3, *row_shape))
    except InputError as error:
        raise InputError(f"--program {path}: {error}") from error
    return parts


def _imported(path: str) -> Callable[[], Any]:
    module, _, name = path.partition(":")
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise InputError(f"--program {path} cannot be imported: {error}") from error
    return found


def _pair(path: str, make: Callable[[], Any]) -> tuple[Any, Any]:
    try:
        made = make()
    except TypeError as error:
        raise InputError(f"--program {path} is called without arguments, and stops: {error}") from error
    if isinstance(made, tuple) and len(made) == 2 and all(map(callable, made)):
        return made
    model, guide = getattr(made, "model", None), getattr(made, "guide", None)
    if callable(model) and callable(guide):
        return model, guide
    raise InputError(
        f"--program {path} makes a {type(made).__name__}: it must give (model, guide), or an object with both methods"
    )
