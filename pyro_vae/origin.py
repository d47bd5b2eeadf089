"""What belongs together: the weights of a checkpoint with the configuration, the trace and the data of their run."""

from pathlib import Path
from typing import Any

import torch
import yaml

from pyro_vae.config import Config
from pyro_vae.data import DATA_SETS, DataSet
from pyro_vae.data.fingerprint import fingerprint
from pyro_vae.errors import InputError
from pyro_vae.trace import TraceRow, trace_digest

# Where and how fast a run is trained is no part of what is trained.
_LEFT_OUT = ("device", "engine", "out", "data_root")


def options_of(text: str) -> dict[str, Any]:
    """The options in a ``config.yaml`` that the weights depend on.

    The number of epochs is one where the learning rate or beta follows a schedule over them; of the path of a data
    file nothing is kept, for the data have a fingerprint of their own.
    """
    options = {name: value for name, value in yaml.safe_load(text).items() if name not in _LEFT_OUT}
    if options.get("data") not in DATA_SETS:
        options["data"] = "a file"
    beta = options.get("beta")
    kind = beta.get("class_path", "") if isinstance(beta, dict) else str(beta)
    if options.get("lr_schedule", "constant") == "constant" and kind.rpartition(".")[2] in ("Constant", "None"):
        options.pop("epochs", None)
    return options


def origin_of(text: str, data: DataSet) -> dict[str, Any]:
    """What a checkpoint says of the run that it is from: its options, and the fingerprint of its data."""
    return {"options": options_of(text), "data": fingerprint(data)}


def check_options(saved: dict[str, Any] | None, text: str, checkpoint: Path) -> None:
    """
    Args:
        saved: of :func:`options_of`, as the checkpoint has them; None in runs that kept none.
        text: ``config.yaml``, complete.

    Raises:
        InputError: where they are others, naming the first of them.
    """
    if saved is None:
        return
    now = options_of(text)
    for name in sorted({*saved, *now} & set(Config.__dataclass_fields__)):  # others are options of another version
        default = Config.__dataclass_fields__[name].default
        if difference := _difference(saved.get(name, default), now.get(name, default), name):
            raise InputError(
                f"the weights in {checkpoint} do not fit its config.yaml: {difference}; put the value of training back"
            )


def _difference(saved: Any, now: Any, name: str) -> str | None:
    """The first value that is another one; an option of a class that only one of them has is of another version."""
    if callable(saved) or callable(now):
        return None
    if isinstance(saved, dict) and isinstance(now, dict) and saved.get("class_path") == now.get("class_path"):
        parts = (_difference(saved[key], now[key], f"{name}.{key}") for key in saved if key in now)
        return next((part for part in parts if part), None)
    return None if saved == now else f"{name} is {_shown(now)} there and was {_shown(saved)} in training"


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
        InputError: where the rows are not those of the run that the checkpoint is from.
    """
    if "trace" not in state:
        return
    until = state["epoch"] if which == "last" else state["epoch"] - 1
    if trace_digest(row for row in rows if row.epoch <= until) != state["trace"]:
        raise InputError(f"{checkpoint} and trace.csv are not of one run, or one of them was changed since")


def remarks_on(threads: int | None, device: torch.device, lost: bool) -> list[str]:
    """What is said before a run goes on; ``lost``: its last checkpoint is gone, and its best one is there."""
    remarks = ["the last checkpoint of this run is gone, so it begins again with its first epoch"] if lost else []
    now = torch.get_num_threads()
    if device.type == "cpu" and threads not in (None, now):
        remarks.append(
            f"this run began with {threads} thread(s) of torch and goes on with {now}: sums are rounded in another"
            f" order, and its numbers are not, bit by bit, those of an undisturbed run (OMP_NUM_THREADS={threads})"
        )
    return remarks
