"""The run folder: what a run writes and what everything else reads. Each file is replaced whole or not at all."""

import csv
import io
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from torch import Tensor

from guides import Guide
from pyro_vae.build import build
from pyro_vae.config import Config
from pyro_vae.data import Stored
from pyro_vae.defaults import torch_defaults
from pyro_vae.errors import InputError
from pyro_vae.models import Model
from pyro_vae.options import settings_from

COLUMNS = (
    "step",
    "epoch",
    "split",
    "elbo",
    "log_likelihood",
    "kl",
    "beta",
    "grad_norm",
    "lr",
    "seconds",
    "images_per_second",
)


class TraceRow(NamedTuple):
    """One line of ``trace.csv``: means over the images of a split in one epoch, nats per image.

    The training row is the mean over the epoch's steps, while the weights moved; the others are taken at its end.
    """

    step: int
    epoch: int
    split: str
    elbo: float
    log_likelihood: float
    kl: float
    beta: float
    grad_norm: float | None
    lr: float
    seconds: float
    images_per_second: float


class Run(NamedTuple):
    """A finished or a stopped run, as :func:`load` gives it back."""

    model: Model
    guide: Guide
    config: Config
    folder: "RunFolder"
    #: what the labels 0, ..., C - 1 stand for; None where the data have none, or the run is too old to say
    classes: tuple[str, ...] | None = None
    #: how the training images are stored; None where the run is too old to say
    stored: Stored | None = None


def write_atomic(path: Path, content: bytes | str) -> None:
    """Replace a file whole: whoever reads it, and whenever this is killed, finds the old content or the new."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


class RunFolder:
    """The files of one run.

    Args:
        path: the folder; it need not be there.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)

    @classmethod
    def create(cls, path: Path, config_text: str) -> "RunFolder":
        """A new folder that holds its configuration.

        Raises:
            InputError: where the folder holds a run already, or cannot be written.
        """
        folder = cls(path)
        if (path / "config.yaml").exists():
            raise InputError(f"{path} already holds a run: go on with it by --resume {path}, or choose another --out")
        try:
            (path / "figures").mkdir(parents=True, exist_ok=True)
            write_atomic(path / "config.yaml", config_text)
        except OSError as error:
            raise InputError(f"--out {path} cannot be written: {error.strerror}") from error
        return folder

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    def config_text(self) -> str:
        """The text of ``config.yaml``.

        Raises:
            InputError: where the folder is no run.
        """
        try:
            return (self.path / "config.yaml").read_text()
        except UnicodeDecodeError as error:
            raise InputError(f"{self.path / 'config.yaml'} is not text: {error}") from error
        except OSError as error:
            what = "it has no config.yaml" if self.path.is_dir() else "it is no folder"
            what = what if self.path.exists() else "there is no such folder"
            raise InputError(f"{self.path} is not a run: {what}") from error

    def write_trace(self, rows: Iterable[TraceRow]) -> None:
        """Write all the rows of ``trace.csv``."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(["" if value is None else value for value in row] for row in rows)
        write_atomic(self.path / "trace.csv", text.getvalue())

    def read_trace(self) -> list[TraceRow]:
        """The rows of ``trace.csv``; none where there is no such file yet.

        Raises:
            InputError: where the file is not a trace.
        """
        path = self.path / "trace.csv"
        if not path.exists():
            return []
        with open(path, newline="") as file:
            try:
                return [
                    TraceRow(
                        step=int(row["step"]),
                        epoch=int(row["epoch"]),
                        split=row["split"],
                        grad_norm=float(row["grad_norm"]) if row["grad_norm"] else None,
                        **{name: float(row[name]) for name in COLUMNS[3:] if name != "grad_norm"},
                    )
                    for row in csv.DictReader(file)
                ]
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(f"{path} is not a trace: {error!r}") from error

    def read_metrics(self) -> dict[str, Any]:
        """``metrics.json``; empty where there is none yet."""
        path = self.path / "metrics.json"
        try:
            return json.loads(path.read_text()) if path.exists() else {}
        except ValueError as error:
            raise InputError(f"{path} is not JSON: {error}") from error

    def update_metrics(self, **entries: Any) -> None:
        """Replace these entries of ``metrics.json`` and leave the others."""
        metrics = {**self.read_metrics(), **entries}
        write_atomic(self.path / "metrics.json", json.dumps(metrics, indent=2) + "\n")

    def checkpoint(self, which: str) -> Path:
        """The path of the ``best`` or the ``last`` checkpoint."""
        return self.path / f"checkpoint.{which}.safetensors"

    def save(self, which: str, state: dict[str, Any]) -> None:
        """Write a checkpoint: nested dictionaries and lists of tensors, numbers and strings."""
        tensors: dict[str, Tensor] = {}
        skeleton = json.dumps(_pack(state, tensors))
        write_atomic(self.checkpoint(which), safetensors.torch.save(tensors, {"state": skeleton}))

    def restore(self, which: str) -> dict[str, Any]:
        """Read a checkpoint. The format holds numbers and text only: reading it never runs code.

        Raises:
            InputError: where there is none or it is damaged.
        """
        path = self.checkpoint(which)
        if not path.exists():
            why = "it was deleted" if self.read_trace() else "no epoch of this run was finished"
            raise InputError(f"{self.path} has no checkpoint {path.name}: {why}")
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)
                return _unpack(json.loads(file.metadata()["state"]), tensors)
        except (OSError, safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is damaged and cannot be read: {' '.join(str(error).split())}") from error


def _pack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """What JSON can hold of a nested state; its tensors go into ``tensors`` under numbers."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        # A copy of its own: safetensors refuses tensors that share memory.
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[key, _pack(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_pack(item, tensors) for item in value]}
    return value


def _unpack(value: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "dict" in value:
        return {key: _unpack(item, tensors) for key, item in value["dict"]}
    return [_unpack(item, tensors) for item in value["list"]]


def set_weights(model: Model, guide: Guide, state: dict[str, Any], source: Path) -> None:
    """Put a checkpoint's weights into a model and a guide.

    Raises:
        InputError: where they are of other shapes or other names.
    """
    try:
        model.load_state_dict(state["model"])
        guide.load_state_dict(state["guide"])
    except (KeyError, RuntimeError) as error:
        said = " ".join(str(error).split())
        raise InputError(f"the weights in {source} do not fit its config.yaml: {said[:300]}") from error


@torch_defaults()
def load(path: Path | str, which: str | None = None, device: str | torch.device = "cpu", trust: bool = False) -> Run:
    """The model, the guide and the configuration of a run, in evaluation mode.

    Args:
        path: the run folder.
        which: "best" (by validation ELBO) or "last"; by default the best there is.
        device: where to put them.
        trust: what its config.yaml names may be any code, which runs (SECURITY.md); by default it may name this
            project's classes, those that an installed package declares, and the user's own.

    Raises:
        InputError: where the folder is no run, has no checkpoint, or names code that is gone or not to be trusted.
    """
    folder = RunFolder(path)
    try:
        config = settings_from(folder.config_text(), trust, str(folder.path / "config.yaml")).config
    except InputError as error:
        raise InputError(f"{path}: {error}" if str(path) not in str(error) else str(error)) from error
    if which is None:
        which = "best" if folder.checkpoint("best").exists() else "last"
    state = folder.restore(which)
    if "image_shape" not in state:
        raise InputError(f"{folder.checkpoint(which)} is not the checkpoint of a run")
    model, guide = build(config, tuple(state["image_shape"]), num_classes=state.get("num_classes"))
    set_weights(model, guide, state, folder.checkpoint(which))
    classes = None if state.get("classes") is None else tuple(state["classes"])
    stored = Stored(*state["stored"]) if "stored" in state else None
    return Run(model.to(device).eval(), guide.to(device).eval(), config, folder, classes, stored)
