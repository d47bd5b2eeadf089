"""The run folder, which a run writes and all other commands read. Each file is replaced whole or not at all."""

import json
import os
import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import torch

from guides import Guide
from pyro_vae.build import build
from pyro_vae.checkpoint import FORMAT, entry, pack, unpack
from pyro_vae.columns import Column
from pyro_vae.config import Config
from pyro_vae.data import Stored
from pyro_vae.data.fingerprint import Fingerprint
from pyro_vae.defaults import torch_defaults
from pyro_vae.errors import InputError
from pyro_vae.files import append_durably, is_partial, make_folder, read_text, refuse_links_in, write_atomic
from pyro_vae.locks import only
from pyro_vae.models import Model
from pyro_vae.observation import observed
from pyro_vae.options import settings_from
from pyro_vae.origin import check_options, check_trace
from pyro_vae.saved_state import check_state, set_weights
from pyro_vae.trace import TraceRow, parse_trace, trace_lines, trace_text
from pyro_vae.yaml_table import read_table

# The files of the locks: they exist while held, and after a kill; readers ignore them.
TRAINING, WRITING = ".training.lock", ".writing.lock"
_LOCKS = (TRAINING, WRITING)


class Run(NamedTuple):
    """A finished or a stopped run, from :func:`load`.

    Attributes:
        weights: the identity of its weights: the beginning of their checkpoint's digest.
        data: the fingerprint of its data; None for a run without one.
    """

    model: Model
    guide: Guide
    config: Config
    folder: "RunFolder"
    weights: str
    data: Fingerprint | None
    #: the names of the labels 0, ..., C - 1; None without labels, or for an old run
    classes: tuple[str, ...] | None = None
    #: how the training images are stored; None for an old run
    stored: Stored | None = None

    def __repr__(self) -> str:
        return f"Run({', '.join(f'{name} {value}' for name, value in about(self).items())})"

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in about(self).items())
        return f"<table>{rows}</table>"


def about(run: Run) -> dict[str, str]:
    """A run in a few words: guide, data, quality and folder."""
    metrics, one = run.folder.read_metrics(), observed(run.model.image_shape)
    elbo = metrics.get("test_elbo") or {}
    value, error = elbo.get("value"), elbo.get("standard_error")
    good = "not finished" if value is None else f"{value:.2f} +- {error or 0:.2f} nats per {one}"
    return {
        "data": run.config.data,
        "model": type(run.model).__name__,
        "guide": type(run.guide).__name__,
        "latent_dim": str(run.model.latent_dim),
        "test ELBO": good,
        "folder": str(run.folder.path),
    }


class RunFolder:
    """The files of one run.

    Args:
        path: the folder; it need not exist.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)

    @classmethod
    def create(cls, path: Path, config_text: str) -> "RunFolder":
        """A new folder that holds its configuration.

        Raises:
            InputError: if the folder already holds a run or anything else, or cannot be written.
        """
        folder = cls(path)
        try:
            folder.refuse_unless_free()
            path.mkdir(parents=True, exist_ok=True)
            make_folder(folder.figures)
            folder.write_config(config_text)
        except OSError as error:
            raise InputError(f"--out {path} cannot be written: {error.strerror}") from error
        return folder

    def refuse_unless_free(self) -> None:
        """
        Raises:
            InputError: if the folder holds a run, or anything but the remains of a run that never began.
        """
        path = self.path
        if (path / "config.yaml").exists():
            raise InputError(f"{path} already holds a run: resume it by --resume {path}, or choose another --out")
        if path.is_dir():
            others = sorted(name for name in os.listdir(path) if not self._is_left_over(name))
            if others:
                raise InputError(f"{path} is not empty and is no run (it has {others[0]}): choose another --out")

    def _is_left_over(self, name: str) -> bool:
        path = self.path / name
        empty = name == "figures" and not path.is_symlink() and path.is_dir() and not os.listdir(path)
        return empty or name in _LOCKS or is_partial(path)

    def training(self) -> AbstractContextManager[None]:
        """Hold the folder as the one process that trains its run.

        Raises:
            InputError: at once, if another process does.
        """
        return only(self.path / TRAINING, f"another process trains the run in {self.path}")

    def writing(self) -> AbstractContextManager[None]:
        """Hold the file that training and evaluation both write, for a moment."""
        return only(self.path / WRITING, f"another process has been writing into {self.path} for a minute", 60.0)

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    def write_figure(self, name: str, content: bytes) -> Path:
        """Write ``figures/NAME.png``; returns its path."""
        with self.writing():
            path = make_folder(self.figures) / f"{name}.png"
            write_atomic(path, content)
        return path

    def write_config(self, text: str) -> None:
        """Write ``config.yaml``, with the version of the folder's format at its end."""
        write_atomic(self.path / "config.yaml", f"{text}# run folder of pyro_vae, format {FORMAT}\n")

    def config_text(self) -> str:
        """The text of ``config.yaml``.

        Raises:
            InputError: if the folder is no run, a newer version wrote it, or something in it is a symbolic link.
        """
        refuse_links_in(self.path, self.figures)
        try:
            text = read_text(self.path / "config.yaml")
        except (FileNotFoundError, NotADirectoryError) as error:
            what = "it has no config.yaml" if self.path.is_dir() else "it is no folder"
            what = what if self.path.exists() else "there is no such folder"
            raise InputError(f"{self.path} is not a run: {what}") from error
        except OSError as error:
            raise InputError(f"{self.path / 'config.yaml'} cannot be read: {error.strerror}") from error
        written = re.search(r"^# run folder of pyro_vae, format (\d{1,9})$", text, re.MULTILINE)
        if written and int(written[1]) > FORMAT:
            raise InputError(
                f"{self.path} is of format {written[1]}, and this version of pyro_vae reads up to {FORMAT}: take a"
                " newer one"
            )
        return text

    def config_table(self) -> dict[str, Any]:
        """The options in ``config.yaml`` as plain values; nothing that they name is imported.

        Raises:
            InputError: if the folder is no run, or the file is no table of options.
        """
        return read_table(self.config_text(), str(self.path / "config.yaml"))

    def write_trace(self, rows: Iterable[TraceRow]) -> None:
        """Write all the rows of ``trace.csv``."""
        write_atomic(self.path / "trace.csv", trace_text(rows))

    def append_trace(self, rows: Iterable[TraceRow]) -> None:
        """Add an epoch's rows to ``trace.csv``, which exists; the cost does not grow with its length."""
        append_durably(self.path / "trace.csv", trace_lines(rows))

    def read_trace(self) -> list[TraceRow]:
        """The rows of ``trace.csv``; empty if there is no such file yet.

        Raises:
            InputError: if the file is not a whole trace.
        """
        path = self.path / "trace.csv"
        return parse_trace(read_text(path), path) if path.exists() else []

    def read_metrics(self) -> dict[str, Any]:
        """``metrics.json``; empty if there is none yet.

        Raises:
            InputError: if the file is no table in JSON.
        """
        path = self.path / "metrics.json"
        try:
            found = json.loads(read_text(path)) if path.exists() else {}
        except ValueError as error:
            raise InputError(f"{path} is not JSON: {error}") from error
        if not isinstance(found, dict):
            raise InputError(f"{path} is not a table of metrics")
        return found

    def update_metrics(self, **entries: Any) -> None:
        """Replace these entries of ``metrics.json`` and keep the others."""
        self.change_metrics(lambda metrics: {**metrics, **entries})

    def change_metrics(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Replace ``metrics.json`` by the result of ``change``, while no other process does."""
        with self.writing():
            write_atomic(self.path / "metrics.json", json.dumps(change(self.read_metrics()), indent=2) + "\n")

    def checkpoint(self, which: str) -> Path:
        """The path of the ``best`` or the ``last`` checkpoint."""
        return self.path / f"checkpoint.{which}.safetensors"

    def save(self, which: str, state: dict[str, Any]) -> None:
        """Write a checkpoint: nested dictionaries and lists of tensors, numbers and strings."""
        write_atomic(self.checkpoint(which), pack(state, which))

    def restore(self, which: str) -> dict[str, Any]:
        """Read a checkpoint. The format holds numbers and text only: reading it never runs code.

        Raises:
            InputError: if there is none, it is damaged, or a newer version wrote it.
        """
        return self.restored(which)[0]

    def checked(self, which: str) -> tuple[dict[str, Any], str]:
        """:meth:`restored`, after a check that it holds what a run or an evaluation writes."""
        state, known_by = self.restored(which)
        try:
            check_state(state, which)
        except InputError as error:
            raise InputError(f"{self.checkpoint(which)} {error}") from error
        return state, known_by

    def restored(self, which: str) -> tuple[dict[str, Any], str]:
        """:meth:`restore`, and the digest of the file."""
        path = self.checkpoint(which)
        if not path.exists():
            why = "it was deleted" if self.read_trace() else "no epoch of this run was finished"
            raise InputError(f"{self.path} has no checkpoint {path.name}: {why}")
        content = path.read_bytes()
        try:
            return unpack(content, which)
        except InputError as error:
            raise InputError(f"{path} {error}") from error


@torch_defaults()
def load(path: Path | str, which: str | None = None, device: str | torch.device = "cpu", trust: bool = False) -> Run:
    """The model, the guide and the configuration of a run, in evaluation mode.

    Args:
        path: the run folder.
        which: "best" (by validation ELBO) or "last"; by default "best" if it exists.
        device: where to put them.
        trust: its config.yaml may name any code, which then runs (SECURITY.md); by default it may name this project's
            classes, those of installed plugs, and the user's own.

    Raises:
        InputError: if the folder is no run, has no checkpoint, names code that is missing or not trusted, or its
            checkpoint is damaged or does not fit its config.yaml or its trace.
    """
    folder = RunFolder(path)
    try:
        settings = settings_from(folder.config_text(), trust, str(folder.path / "config.yaml"))
    except InputError as error:
        raise InputError(f"{path}: {error}" if str(path) not in str(error) else str(error)) from error
    if which is None:
        which = "best" if folder.checkpoint("best").exists() else "last"
    state, known_by = folder.checked(which)
    origin = state.get("origin", {})
    check_options(origin.get("options"), settings.text, folder.checkpoint(which))
    last = entry(folder.checkpoint("last"), "state") or {}  # before the trace, which a training makes longer first
    if rows := folder.read_trace():  # weights may be given away without their trace
        check_trace(rows, state["state"], which, folder.checkpoint(which))
        check_trace(rows, last, "last", folder.checkpoint("last"))
    config = settings.config
    columns = tuple(map(Column.from_dict, state["columns"])) if "columns" in state else None
    model, guide = build(config, tuple(state["image_shape"]), num_classes=state.get("num_classes"), columns=columns)
    set_weights(model, guide, state, folder.checkpoint(which))
    classes = None if state.get("classes") is None else tuple(state["classes"])
    stored = Stored(*state["stored"]) if "stored" in state else None
    parts = model.to(device).eval(), guide.to(device).eval()
    return Run(*parts, config, folder, known_by[:16], origin.get("data"), classes, stored)
