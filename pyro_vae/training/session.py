"""Starts or resumes a run: from options or a folder to a session that can be trained."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from pyro_vae.config import Config
from pyro_vae.data import MEMORY, DataSet, InMemory, data_sets, load_data
from pyro_vae.distributed import Workers, join
from pyro_vae.errors import InputError, Stopped, plain_interrupts
from pyro_vae.names import run_name
from pyro_vae.options import Settings, make_parser, parse_arguments, settings_from, settle
from pyro_vae.origin import origin_of
from pyro_vae.runs import RunFolder
from pyro_vae.saved_state import restore_optimizer, set_weights
from pyro_vae.schedules import Constant
from pyro_vae.starting import check_belongs, hold, numbered, take
from pyro_vae.terminal import on_stderr, printable
from pyro_vae.trace import TraceRow, trace_digest
from pyro_vae.training.prepare import Prepared, measured_precision, prepare
from pyro_vae.training.recorder import Recorder
from pyro_vae.training.settled import settled_by
from pyro_vae.training.state import TrainingState
from pyro_vae.trust import check_data_root
from pyro_vae.yaml_table import read_table


class Session(NamedTuple):
    """A run that is ready to be trained, from its present state."""

    prepared: Prepared
    state: TrainingState
    recorder: Recorder


def open_session(
    prepared: Prepared, folder: RunFolder, quiet: bool = False, origin: dict[str, Any] | None = None
) -> Session:
    """A session in an existing folder, from its last checkpoint if it has one.

    Args:
        prepared: the run; its weights and optimizer take the checkpoint's state.
        folder: its folder.
        quiet: see :class:`~pyro_vae.training.recorder.Recorder`.
        origin: the record of its options and data for its checkpoints.

    Raises:
        InputError: if the folder's files are not of this run.
    """
    rows, state = prepared.workers.in_turn(lambda: _restore(folder, prepared))
    return Session(prepared, state, Recorder(prepared, folder, rows, state, quiet, origin))


@contextmanager
def begin(settings: Settings, quiet: bool = False, given: InMemory | None = None) -> Iterator[Session]:
    """A new run. In this context an interrupt says how to resume it.

    Args:
        given: its data, where they are in memory.

    Raises:
        InputError: if the options cannot work, before anything is written.
    """
    with join() as workers:
        config = settings.config
        say = None if quiet or not workers.main else on_stderr
        data = workers.in_turn(lambda: _data(config, say, given))
        # config.yaml has the final values of options that depend on the data or on the working directory.
        settled, about = {**places(config), **settled_by(data, settings)}, ""
        if config.precision == "auto":
            settled["precision"], about = workers.on_main(lambda: measured_precision(config, data, workers))
        settings = settings_from(settings.text, trust=True, **settled)
        prepared = workers.in_turn(lambda: prepare(settings.config, data, workers))
        prepared = replace(prepared, precision=about)
        origin = workers.in_turn(lambda: origin_of(settings.text, data))
        text = _headed(settings.text, workers)
        with ExitStack() as held:
            folder = workers.on_main(lambda: take(config.out or numbered(Path("runs"), run_name(config)), text, held))
            with _says_how_to_resume(folder, workers):
                yield open_session(prepared, folder, quiet, origin)


def places(config: Config) -> dict[str, Any]:
    """The data and the folder of data as ``config.yaml`` has them: as whole paths, which hold in any working folder."""
    named = config.data == MEMORY or config.data in data_sets()
    found: dict[str, Any] = {} if named else {"data": str(Path(config.data).resolve())}
    if config.data_root is not None:
        found["data_root"] = str(config.data_root.resolve())
    return found


def _data(config: Config, say: Callable[[str], None] | None, given: InMemory | None) -> DataSet:
    return load_data(
        config.data,
        config.data_root,
        config.validation,
        config.layout,
        say,
        given,
        image_size=config.size,
        missing=config.takes_missing,
    )


@contextmanager
def reopen(
    path: Path,
    changes: Sequence[str] = (),
    quiet: bool = False,
    trust: bool = False,
    given: InMemory | None = None,
) -> Iterator[Session]:
    """The run in a folder, from its present state; only the options epochs and device may change.

    Args:
        path: the run folder.
        changes: words of the command line, such as ``["--epochs", "400"]``.
        quiet: see :class:`~pyro_vae.training.recorder.Recorder`.
        trust: as for :func:`pyro_vae.load`.
        given: its data, where they are in memory.

    Raises:
        InputError: if the folder is no run, is damaged, names code that is not trusted, or other options are changed.
    """
    with join() as workers:
        folder = RunFolder(path)
        with ExitStack() as held:
            workers.on_main(lambda: hold(folder, held))
            trusted = trust or "--trust" in changes
            again = _Again(folder, changes, trusted, quiet, given)
            prepared, origin, text = workers.in_turn(lambda: _prepared_again(again, workers))
            with _says_how_to_resume(folder, workers):
                session = open_session(prepared, folder, quiet, origin)
                if workers.main:  # only now is it known that everything fits
                    folder.write_config(_headed(text, workers))
                yield session


def _headed(text: str, workers: Workers) -> str:
    """The text of ``config.yaml``, with the number of processes if there are several."""
    return text if workers.size == 1 else f"# {workers.command} -m pyro_vae.svi --config config.yaml\n{text}"


class _Again(NamedTuple):
    """A run to go on with, as the caller asks for it."""

    folder: RunFolder
    changes: Sequence[str]
    trust: bool
    quiet: bool
    given: InMemory | None


def _prepared_again(again: _Again, workers: Workers) -> tuple[Prepared, dict[str, Any], str]:
    """The run in a folder, prepared, and the options with the changes, as text."""
    folder, changes, trust = again.folder, again.changes, again.trust
    text, where = folder.config_text(), str(folder.path / "config.yaml")
    saved = settings_from(text, trust, where)
    parser = make_parser()
    words = parse_arguments(parser, list(changes), beneath=read_table(text, where))
    if words.out is not None:
        raise InputError("--resume continues in the run's own folder, so it cannot be combined with --out")
    settings = settle(parser, words)
    allowed: dict[str, Any] = {"epochs": settings.config.epochs, "device": settings.config.device}
    if settings_from(saved.text, trust, **allowed).text != settings.text:
        raise InputError("--resume takes its options from the run; only --epochs and --device may be changed")
    if settings.config.epochs != saved.config.epochs:
        _check_epochs(folder, saved.config, settings.config.epochs)
    config = settings.config
    if (note := check_data_root(config.data_root, where, trust)) and workers.main:
        print(printable(note), file=sys.stderr)
    say = None if again.quiet or not workers.main else on_stderr
    data = _data(config, say, again.given)
    origin = check_belongs(folder, data, settings.text)
    return prepare(config, data, workers), origin, settings.text


def _check_epochs(folder: RunFolder, config: Config, epochs: int) -> None:
    """With another number of epochs, config.yaml must still repeat the run."""
    done = max((row.epoch for row in folder.read_trace()), default=0)
    if epochs < done:
        raise InputError(f"{folder.path} has {done} epochs behind it, so --epochs cannot be {epochs}")
    if config.lr_schedule != "constant" or not isinstance(config.beta(), Constant):
        raise InputError("--epochs cannot change in a run whose learning rate or beta follows a schedule over them")


def _restore(folder: RunFolder, prepared: Prepared) -> tuple[list[TraceRow], TrainingState]:
    """The trace up to the last checkpoint and the state there; weights and optimizer are set."""
    workers, shape = prepared.workers, prepared.data.image_shape
    if not folder.checkpoint("last").exists():
        return [], TrainingState(processes=workers.size, threads=torch.get_num_threads())
    saved, _ = folder.checked("last")
    state = TrainingState.from_dict(saved["state"])
    if state.processes != workers.size:
        command = f"{Workers(size=state.processes).command} -m pyro_vae.svi --resume {folder.path}"
        raise InputError(f"{folder.path} is a run of {state.processes} process(es), not {workers.size}: {command}")
    rows = [row for row in folder.read_trace() if row.epoch <= state.epoch]
    if not rows or rows[-1].epoch != state.epoch:
        raise InputError(f"{folder.path}: trace.csv does not reach epoch {state.epoch} of its checkpoint")
    if tuple(saved["image_shape"]) != shape:
        shapes = f"{tuple(saved['image_shape'])}, and those of {prepared.data.name} are {shape}"
        raise InputError(f"{folder.path} was trained on images of shape {shapes}")
    if prepared.model.labels != "ignored":
        _same_classes(saved, prepared.data, folder)
    set_weights(prepared.model, prepared.guide, saved, folder.checkpoint("last"))
    if prepared.average is not None:
        prepared.average.restore(saved.get("trained", {}), state.step, folder.checkpoint("last"))
    try:
        restore_optimizer(prepared.optimizer, saved["optimizer"])
    except InputError as error:
        raise InputError(f"{folder.checkpoint('last')} {error}") from error
    return rows, state if "trace" in saved["state"] else replace(state, trace=trace_digest(rows))


def _same_classes(saved: dict[str, Any], data: DataSet, folder: RunFolder) -> None:
    """Check that the labels of the data mean the same as in a checkpoint.

    Raises:
        InputError: if they do not; older checkpoints have only a number of classes, without names.
    """
    old, new = saved.get("classes"), data.classes or ()
    if saved["num_classes"] != len(new) or (old is not None and tuple(old) != new):
        was = f"{saved['num_classes']} classes" if old is None else f"the classes {', '.join(old)}"
        raise InputError(
            f"{folder.path} was trained on {was}, and {data.name} now has {', '.join(new)}: train a new run"
        )


@contextmanager
def _says_how_to_resume(folder: RunFolder, workers: Workers) -> Iterator[None]:
    try:
        with plain_interrupts():
            yield
    except KeyboardInterrupt:
        again = printable(f"{workers.command} -m pyro_vae.svi --resume {folder.path}")
        line = f"stopped; every finished epoch is saved. Resume with: {again}"
        raise Stopped(line if workers.main else "") from None
