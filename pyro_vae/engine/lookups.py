"""What code ran, what it looks up, and whose it is."""

import dis
import functools
import gc
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

from pyro_vae.engine.blame import is_users_file

_CLOSED = sys.stdlib_module_names | {"numpy", "torch", "pandas", "matplotlib", "networkx", "pytest", "_pytest", "tqdm"}


@contextmanager
def ran() -> Iterator[dict[CodeType, dict[str, Any]]]:
    """Yields the user's code that runs in this context, each with its global variables.

    No garbage is collected meanwhile: what runs then (callbacks, finalizers) is no code of the program.
    """
    found: dict[CodeType, dict[str, Any]] = {}
    seen: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code not in seen:
            seen.add(frame.f_code)
            if is_users_file(frame.f_code.co_filename):
                found[frame.f_code] = frame.f_globals

    profiled = sys.getprofile() is not None  # a profiler written in C cannot be put back
    install: Any = sys.settrace if profiled else sys.setprofile
    before = sys.gettrace() if profiled else None
    collects = gc.isenabled()
    gc.disable()
    install(note)
    try:
        yield found
    finally:
        install(before)
        if collects:
            gc.enable()


def names_of(code: CodeType) -> set[str]:
    """The names that a function and its inner functions look up."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= names_of(constant)
    return found


def of_libraries(code: CodeType, space: dict[str, Any]) -> set[str]:
    """The names that code looks up in modules of libraries alone, as ``sample`` in ``pyro.sample``."""
    inside: set[str] = set()
    elsewhere: set[str] = set()
    module = False
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR"):
            (inside if module else elsewhere).add(step.argval)
            module = module and step.opname == "LOAD_ATTR"
        elif step.opname not in ("PRECALL", "CACHE", "PUSH_NULL"):
            value = space.get(step.argval) if step.opname == "LOAD_GLOBAL" else None
            module = isinstance(value, ModuleType) and not is_users(value.__name__)
    return inside - elsewhere


def is_read(path: str, names: set[str]) -> bool:
    """Whether names hold the last attribute of a path; a path without one begins at a name in the code."""
    attributes = re.sub(r"""\[('[^']*'|"[^"]*"|[^\]]*)\]""", "", path).split(".")[1:]
    return not attributes or attributes[-1] in names


def is_users(module: str) -> bool:
    root = module.partition(".")[0]
    return root == "__main__" or (root not in _CLOSED and root != "pyro")


def is_ours(module: str) -> bool:
    return module.partition(".")[0] in ("pyro_vae", "guides")


def function_of(attribute: Any) -> Any:
    """The function of a method, a property or a class method; None for any other attribute of a class."""
    if isinstance(attribute, FunctionType):
        return attribute
    if isinstance(attribute, property):
        return attribute.fget
    if isinstance(attribute, functools.cached_property):
        return attribute.func
    return getattr(attribute, "__func__", None)


def is_pyros(module: str) -> bool:
    return module.startswith(("pyro.", "torch.distributions"))
