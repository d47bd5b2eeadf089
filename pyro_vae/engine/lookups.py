"""What code looks up, and whose it is."""

import dis
import functools
import re
import sys
from types import CodeType, FunctionType, ModuleType
from typing import Any

_CLOSED = sys.stdlib_module_names | {"numpy", "torch", "pandas", "matplotlib", "networkx", "pytest", "_pytest", "tqdm"}


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
