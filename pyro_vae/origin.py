"""Checks that a checkpoint, the configuration, the trace and the data are of one run."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml

from pyro_vae.config import Config
from pyro_vae.data import DataSet, data_sets
from pyro_vae.data.fingerprint import fingerprint
from pyro_vae.errors import InputError
from pyro_vae.kinds import imported
from pyro_vae.trace import TraceRow, trace_digest

#: options for the place and the speed of training, which do not change the weights
WITHOUT_EFFECT = ("device", "engine", "out", "data_root", "tracker")


def options_of(text: str) -> dict[str, Any]:
    """The options in a ``config.yaml`` that the weights depend on.

    The number of epochs is one of them if the learning rate or beta follows a schedule. The path of a data file is not,
    because the data have their own fingerprint.
    """
    options = {name: value for name, value in yaml.safe_load(text).items() if name not in WITHOUT_EFFECT}
    if options.get("data") not in data_sets():
        options["data"] = "a file"
    beta = options.get("beta")
    kind = beta.get("class_path", "") if isinstance(beta, dict) else str(beta)
    if options.get("lr_schedule", "constant") == "constant" and kind.rpartition(".")[2] in ("Constant", "None"):
        options.pop("epochs", None)
    return options


def origin_of(text: str, data: DataSet) -> dict[str, Any]:
    """A checkpoint's record of its run: the options, and the fingerprint of the data."""
    return {"options": options_of(text), "data": fingerprint(data)}


def check_options(saved: dict[str, Any] | None, text: str, checkpoint: Path) -> None:
    """
    Args:
        saved: of :func:`options_of`, as the checkpoint has them; None in runs that kept none.
        text: ``config.yaml``, complete.

    Raises:
        InputError: if they differ, naming the first difference.
    """
    if saved is None:
        return
    now, options = options_of(text), Config.__dataclass_fields__
    # An option that this version does not know is of another one; an option that one side lacks has its default.
    known = {*saved, *now} & {*options}
    was, there = ({name: side.get(name, options[name].default) for name in known} for side in (saved, now))
    for name, before, after in differences(was, there):
        earlier, later = shown(before, after)
        raise InputError(
            f"the weights in {checkpoint} do not fit its config.yaml: {name} is {later} there and was {earlier} in"
            " training; put the value of training back"
        )


def differences(one: dict[str, Any], other: dict[str, Any], within: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The options that differ, by name, and both values; of one class its own options.

    Args:
        one, other: tables as in ``config.yaml``. Where a class's option is in one alone, the other has its default.
    """
    for key in sorted({*one, *other}):
        pair: tuple[Any, Any] = one.get(key), other.get(key)
        name = within if key == "init_args" else f"{within}.{key}".lstrip(".")
        if key == "init_args" and "class_path" in one:
            pair = _completed(pair[0] or {}, pair[1] or {}, one["class_path"])
        if any(map(callable, pair)):
            continue  # the default of an option that names a class, which an older version did not have
        if _class_in(pair[0]) is not None and _class_in(pair[0]) == _class_in(pair[1]):
            yield from differences(*pair, name)
        elif pair[0] != pair[1]:
            yield name, *pair


def _class_in(value: Any) -> str | None:
    return value.get("class_path", "") if isinstance(value, dict) else None


def shown(one: Any, other: Any) -> tuple[str, str]:
    """Two values of an option in words; a class by its name, or by its import path where the names are one."""
    paths = [_class_in(value) or f"{value}" for value in (one, other)]
    names = [path.rpartition(".")[2] if _class_in(v) else path for path, v in zip(paths, (one, other), strict=True)]
    first, second = names if names[0] != names[1] else paths
    return first, second


def _completed(saved: dict[str, Any], now: dict[str, Any], path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of a class, with the class's default for one that only one side has.

    An option that the class does not have is of another version, and is left out.
    """
    bases = getattr(imported(path), "__mro__", ())
    signatures = [inspect.signature(base.__init__).parameters for base in bases if "__init__" in vars(base)]
    for key in {*saved} ^ {*now}:
        known = next((found[key].default for found in signatures if key in found), inspect.Parameter.empty)
        saved, now = ({**side, key: side.get(key, known)} for side in (saved, now))
        if known is inspect.Parameter.empty:
            del saved[key], now[key]
    return saved, now


def check_trace(rows: list[TraceRow], state: dict[str, Any], which: str, checkpoint: Path) -> None:
    """
    Args:
        rows: of the run's ``trace.csv``.
        state: of the checkpoint: its epoch, and the digest of the trace that belongs to it; of runs that kept none,
            there is nothing to compare.
        which: "last", which is written after its epoch's rows, or "best", which is written before them.

    Raises:
        InputError: if the rows are not of the checkpoint's run.
    """
    if "trace" not in state:
        return
    until = state["epoch"] if which == "last" else state["epoch"] - 1
    if trace_digest(row for row in rows if row.epoch <= until) != state["trace"]:
        raise InputError(f"{checkpoint} and trace.csv are not of one run, or one of them was changed since")


def remarks_on(threads: int | None, device: torch.device) -> list[str]:
    """The warning before a run is resumed."""
    now = torch.get_num_threads()
    if device.type != "cpu" or threads in (None, now):
        return []
    return [
        f"this run began with {threads} thread(s) of torch and goes on with {now}: sums are rounded in another order,"
        f" and its numbers are not, bit by bit, those of an undisturbed run (OMP_NUM_THREADS={threads})"
    ]
