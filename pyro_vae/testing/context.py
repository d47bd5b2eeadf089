"""Shared by the contract checks: a requirement with its message and its context."""

from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


def require(condition: bool, message: str) -> None:
    """Raise AssertionError with the message if the condition does not hold, also under ``python -O``."""
    if not condition:
        raise AssertionError(message)


@contextmanager
def looking_at(what: str) -> Any:
    """In this context an AssertionError starts with the object of the check."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from error


def name_of(made_by: Any) -> str:
    """The name of a class, or of a function that makes its objects."""
    return getattr(made_by, "__name__", str(made_by))


def require_gradients(module: nn.Module, scalar: Tensor) -> None:
    """Require that a finite gradient of a scalar reaches every parameter of a module."""
    module.zero_grad()
    scalar.backward()
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        require(parameter.grad is not None, f"no gradient reaches the parameter {name}")
        assert parameter.grad is not None
        require(bool(parameter.grad.isfinite().all()), f"the gradient of {name} is not finite")


def require_shape(found: Any, wanted: tuple[int, ...], what: str) -> None:
    """Require a shape; the error names the actual one."""
    require(tuple(found) == wanted, f"{what} must have shape {wanted}, not {tuple(found)}")
