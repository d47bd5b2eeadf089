"""Checks that a checkpoint, the configuration, the trace and the data are of one run."""

import inspect
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
    now = options_of(text)
    for name in sorted({*saved, *now} & set(Config.__dataclass_fields__)):  # the other options are of another version
        default = Config.__dataclass_fields__[name].default
        if difference := _difference(saved.get(name, default), now.get(name, default), name):
            raise InputError(
                f"the weights in {checkpoint} do not fit its config.yaml: {difference}; put the value of training back"
            )


def _difference(saved: Any, now: Any, name: str) -> str | None:
    """The first value that differs."""
    if callable(saved) or callable(now):
        return None
    if isinstance(saved, dict) and isinstance(now, dict) and saved.get("class_path") == now.get("class_path"):
        for key in sorted({*saved, *now}):
            pair = saved.get(key), now.get(key)
            if key == "init_args" and "class_path" in now:
                pair = _completed(pair[0] or {}, pair[1] or {}, now["class_path"])
            if found := _difference(*pair, f"{name}.{key}"):
                return found
        return None
    return None if saved == now else f"{name} is {_shown(now)} there and was {_shown(saved)} in training"


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


def _shown(value: Any) -> str:
    return str(value.get("class_path") if isinstance(value, dict) else value)


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
