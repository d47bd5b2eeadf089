"""How a run takes its folder: a new one, or its own after a check that its files belong together."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pyro_vae.data import DataSet
from pyro_vae.data.fingerprint import Fingerprint, check_same
from pyro_vae.errors import InputError
from pyro_vae.files import remove_partial
from pyro_vae.origin import check_options, check_trace, options_of, origin_of
from pyro_vae.runs import RunFolder


def take(path: Path, config_text: str, held: ExitStack) -> RunFolder:
    """A new run folder, held by this process for training until ``held`` is closed.

    Raises:
        InputError: if the folder is not free, cannot be written, or another process has just begun a run there.
    """
    folder = RunFolder(path)
    folder.refuse_unless_free()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {path} cannot be written: {error.strerror}") from error
    held.enter_context(folder.training())
    _clean(folder)
    return RunFolder.create(path, config_text)  # checks again, now that no other process can interfere


def hold(folder: RunFolder, held: ExitStack) -> None:
    """Hold the run in this folder for training until ``held`` is closed.

    Raises:
        InputError: if the folder is no run, or another process trains it.
    """
    folder.config_text()
    held.enter_context(folder.training())
    _clean(folder)


def _clean(folder: RunFolder) -> None:
    """Remove what killed writers left; no other process trains the run."""
    with folder.writing():
        remove_partial(folder.path)
        remove_partial(folder.figures)


def numbered(parent: Path, stem: str) -> Path:
    """Make the folder ``parent/STEM-NUMBER`` with the first free number.

    Raises:
        InputError: if it cannot be made.
    """
    number = 1
    try:
        parent.mkdir(parents=True, exist_ok=True)
        while True:
            path = parent / f"{stem}-{number}"
            try:
                path.mkdir()
            except FileExistsError:
                number += 1
            else:
                return path
    except OSError as error:
        raise InputError(f"{parent} cannot be written: {error.strerror}") from error


def check_belongs(folder: RunFolder, data: DataSet, text: str) -> dict[str, Any]:
    """The record for the checkpoints of a run, after a check that all files in its folder are of one run.

    Args:
        data: as loaded now, not yet on a device.
        text: its ``config.yaml``, complete.

    Raises:
        InputError: if a checkpoint, ``config.yaml``, the trace or the data are of another run, or have changed.
    """
    if not folder.checkpoint("last").exists():
        _check_begins(folder)
        return origin_of(text, data)
    rows = folder.read_trace()
    found: Fingerprint | None = None
    for which in ("last", "best"):
        path = folder.checkpoint(which)
        if not path.exists():
            continue
        saved, _ = folder.checked(which)
        origin = saved.get("origin", {})
        check_options(origin.get("options"), text, path)
        if rows:
            check_trace(rows, saved["state"], which, path)
        if found is None or origin.get("data", found) != found:
            found = check_same(data, origin.get("data"), folder.path)
    return {"options": options_of(text), "data": found}


def _check_begins(folder: RunFolder) -> None:
    """A run without its last checkpoint was stopped in its first epoch, whose rows and best weights it writes again.

    Raises:
        InputError: if it has more epochs behind it; begun again, it would replace what is left of them.
    """
    epochs = [row.epoch for row in folder.read_trace()]
    if folder.checkpoint("best").exists():
        epochs.append(folder.checked("best")[0]["state"]["epoch"])
    if max(epochs, default=0) > 1:
        raise InputError(
            f"{folder.path} has {max(epochs)} epochs behind it, and {folder.checkpoint('last').name} is gone: put it"
            " back, or train a new run"
        )
