"""What stands in a checkpoint, checked before it is used: a digest shows a whole file, not one that makes sense."""

import inspect
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pyro_vae.columns import KINDS as COLUMN_KINDS
from pyro_vae.errors import InputError

Test = Callable[[Any], bool]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _table(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def _list_of(test: Test) -> Test:
    return lambda value: isinstance(value, list) and all(map(test, value))


def _or_none(test: Test) -> Test:
    return lambda value: value is None or test(value)


def _weights(value: Any) -> bool:
    return _table(value) and all(isinstance(tensor, Tensor) for tensor in value.values())


def _fields(required: Mapping[str, Test], optional: Mapping[str, Test]) -> Test:
    """A table that has the required fields, and each field as it must be; other fields are of another version."""

    def test(value: Any) -> bool:
        known = {**required, **optional}
        return (
            _table(value) and set(required) <= set(value) and all(known[k](v) for k, v in value.items() if k in known)
        )

    return test


_PROGRESS = {
    **dict.fromkeys(("epoch", "step", "best_epoch"), _count),
    **dict.fromkeys(("seconds", "best_elbo"), _number),
}
_LATER = {"core_seconds": _number, "processes": _count, "threads": _or_none(_count), "trace": _text}
_DATA = _fields({"digest": _text}, {"size": _count, "mtime_ns": _number})
#: settings of an optimizer that the engine of a run changes, and its numbers not
_OF_THE_ENGINE = ("fused", "foreach", "capturable")
_RUN: dict[str, Test] = {
    "model": _weights,
    "guide": _weights,
    "image_shape": _list_of(lambda side: _count(side) and 0 < side < 2**31),
    "state": lambda value: _fields(_PROGRESS, _LATER)(value) and set(value) <= {*_PROGRESS, *_LATER},
}
_COLUMN = _fields(
    {
        **dict.fromkeys(("centre", "scale"), lambda value: _number(value) and math.isfinite(value)),
        **dict.fromkeys(("levels", "shares"), _list_of(_number)),
        "name": _text,
        "kind": lambda value: value in COLUMN_KINDS,
    },
    {},
)
_ABOUT: dict[str, Test] = {
    "columns": _list_of(_COLUMN),
    "num_classes": _or_none(_count),
    "classes": _or_none(_list_of(_text)),
    "stored": lambda value: isinstance(value, list) and len(value) == 2 and _text(value[0]) and _number(value[1]),
    "origin": _fields({}, {"options": _or_none(_table), "data": _or_none(_DATA)}),
}
_OPTIMIZER = _fields({"state": lambda value: isinstance(value, dict), "param_groups": _list_of(_table)}, {})
_PIECE = _fields({"figures": _table, "per_image": _weights, "arrays": _weights}, {})
_MEASURE = _fields({"settings": _table, "pieces": _list_of(_PIECE), "seconds": _number}, {})


def check_state(state: Any, which: str) -> None:
    """Check that a checkpoint holds what a run, or an evaluation, writes into one of this name.

    Raises:
        InputError: names the entry that is something else; the message goes on after the file's name.
    """
    if not _table(state):
        raise InputError("is not the checkpoint of a run")
    if which == "evaluation":
        wrong = [name for name, measure in state.items() if not _MEASURE(measure)]
    else:
        known = {**_RUN, **_ABOUT, **({"optimizer": _OPTIMIZER, "trained": _weights} if which == "last" else {})}
        required = [*_RUN, *(["optimizer"] if which == "last" else [])]
        wrong = [name for name in required if name not in state]
        wrong += [name for name, test in known.items() if name in state and not test(state[name])]
    if wrong:
        raise InputError(f"is not as a run writes it: its entry {wrong[0]!r} is missing, or is something else")


def set_weights(model: nn.Module, guide: nn.Module, state: dict[str, Any], source: Path) -> None:
    """Put a checkpoint's weights into a model and a guide.

    Raises:
        InputError: if they are of other shapes or other names, or not finite.
    """
    for part in ("model", "guide"):
        require_finite(state[part], source)
    try:
        model.load_state_dict(state["model"])
        guide.load_state_dict(state["guide"])
    except (KeyError, RuntimeError) as error:
        said = " ".join(str(error).split())
        raise InputError(f"the weights in {source} do not fit its config.yaml: {said[:300]}") from error


def require_finite(weights: dict[str, Tensor], source: Path) -> None:
    """
    Raises:
        InputError: if a weight of a checkpoint is not finite.
    """
    if not all(weight.isfinite().all() for weight in weights.values()):
        raise InputError(f"the weights in {source} are not finite numbers, and no run writes such")


def restore_optimizer(optimizer: Optimizer, saved: dict[str, Any]) -> None:
    """Put a checkpoint's state into an optimizer.

    Raises:
        InputError: if it is of another optimizer or of other parameters; the message goes on after the file's name.
    """
    fresh, kept = optimizer.state_dict()["param_groups"], _kept_by(optimizer)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    fault = "holds the state of another optimizer, or of other parameters"
    groups = saved["param_groups"]
    same = len(groups) == len(fresh) and all(
        set(old) == set(new)
        and all(_alike(old[name], new[name]) for name in new if name not in _OF_THE_ENGINE)
        and all(old[name] in (None, True, False) for name in new if name in _OF_THE_ENGINE)
        for old, new in zip(groups, fresh, strict=True)
    )
    if not same or not set(saved["state"]) <= set(range(len(parameters))):
        raise InputError(fault)
    for number, state in saved["state"].items():
        if not isinstance(state, dict) or set(state) != kept:
            raise InputError(fault)
        for value in state.values():
            if isinstance(value, Tensor) and value.ndim and value.shape != parameters[number].shape:
                raise InputError(fault)
            if not (isinstance(value, Tensor) or value is None or _number(value)):
                raise InputError(fault)
    optimizer.load_state_dict(saved)


def _alike(old: Any, new: Any) -> bool:
    """Whether a setting in a checkpoint has the kind of the optimizer's own; the learning rate follows a schedule."""
    if isinstance(new, list | tuple):
        return isinstance(old, list | tuple) and len(old) == len(new) and all(map(_alike, old, new))
    if isinstance(new, float):
        return _number(old) and math.isfinite(old)
    return type(old) is type(new) and (not isinstance(new, int) or old == new)


def _kept_by(optimizer: Optimizer) -> set[str]:
    """What an optimizer of this kind keeps of each parameter, found by one step of another one."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    parameter.grad = torch.ones(1)
    taken = inspect.signature(type(optimizer)).parameters
    settings = {k: v for k, v in optimizer.param_groups[0].items() if k in taken and k != "params"}
    other = type(optimizer)([parameter], **settings)
    other.step()
    return set(other.state[parameter])
