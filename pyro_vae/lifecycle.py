"""Train, resume, or both: a run from Python, in one call."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from pyro_vae.build import needs_likelihood
from pyro_vae.data import MEMORY, InMemory, is_in_memory
from pyro_vae.errors import InputError, speaking_python
from pyro_vae.options import Settings, settings_from, settings_of
from pyro_vae.origin import differences, shown
from pyro_vae.plain import plain
from pyro_vae.run_options import RunOptions
from pyro_vae.runs import Run, RunFolder, load
from pyro_vae.svi import fit
from pyro_vae.training.session import begin, places, reopen
from pyro_vae.training.settled import with_levels
from pyro_vae.yaml_table import read_table


@speaking_python()
def train(
    *,
    quiet: bool = False,
    trust: bool = False,
    config: Path | str | None = None,
    preset: str | None = None,
    **options: Unpack[RunOptions],
) -> Run:
    """Train a run with the options of the command line.

    Args:
        quiet: print nothing, make no pictures, write no TensorBoard events; the rest of the run folder is the same.
        trust: the file ``config`` may name any code, which runs (SECURITY.md).
        config: a file of options that the others override.
        preset: the name of options that go well together, such as "fast"; those given here go before them.
        options: the fields of :class:`~pyro_vae.config.Config`. A class is given by its name, by its import path, or
            as ``{"class_path": ..., "init_args": {...}}``. ``data`` may be the data themselves: an array, a tensor, a
            data frame, images and labels, a torch data set or its loader (:mod:`pyro_vae.data.memory`). The run keeps
            their fingerprint and not themselves.

    Returns:
        The model, the guide, the configuration and the folder, with the best weights.

    Raises:
        InputError: if an option cannot work, or ``out`` holds a run already.

    >>> run = train(data="digits", guide="MeanField", epochs=1, out="runs/x")  # doctest: +SKIP
    """
    around = {"config": config, "preset": preset}
    plain, given = _apart({**{key: value for key, value in around.items() if value is not None}, **options})
    return _trained(settings_of(plain, trust), quiet, given)


def _apart(options: dict[str, Any]) -> tuple[dict[str, Any], InMemory | None]:
    """Options that can be written down, and the data where they are in memory."""
    data = options.get("data")
    return ({**options, "data": MEMORY}, data) if is_in_memory(data) else (options, None)


@speaking_python()
def resume(
    folder: Path | str,
    *,
    epochs: int | None = None,
    device: str | None = None,
    quiet: bool = False,
    trust: bool = False,
    data: InMemory | None = None,
) -> Run:
    """Resume a run where it stopped; the result is bitwise that of an uninterrupted run.

    On a CPU, that holds for the number of threads that the run began with (``torch.get_num_threads()``). With another
    number, sums are rounded in another order, and a note says so.

    Args:
        folder: the run folder.
        epochs: the number of epochs in all; by default the run's own.
        device: by default the run's own.
        quiet: as for :func:`train`.
        trust: as for :func:`pyro_vae.load`.
        data: of a run whose data are in memory; they must be those that it began with.

    Raises:
        InputError: if the folder is no run, is damaged, its data are others or are not given, or it already has more
            epochs.
    """
    changes = {"--epochs": epochs, "--device": device}
    words = [word for option, value in changes.items() if value is not None for word in (option, str(plain(value)))]
    return _resumed(Path(folder), words, quiet, trust, data)


@speaking_python()
def train_or_resume(
    folder: Path | str, *, quiet: bool = False, trust: bool = False, **options: Unpack[RunOptions]
) -> Run:
    """The finished run in a folder: started if there is none, resumed if it is not finished.

    A notebook cell that calls it can be run again.

    Args:
        folder: the run folder.
        quiet: as for :func:`train`.
        trust: as for :func:`pyro_vae.load`.
        options: as for :func:`train`, but for ``out``.

    Raises:
        InputError: as :func:`train` and :func:`resume` do; and if the run in the folder has other options, naming them.
    """
    plain, given = _apart(dict(options))
    return load(complete(Path(folder), settings_of(plain), quiet, trust, given).path, trust=trust)


def complete(
    folder: Path, settings: Settings, quiet: bool = False, trust: bool = False, given: InMemory | None = None
) -> RunFolder:
    """:func:`train_or_resume` from settings."""
    run = RunFolder(folder)
    if not (folder / "config.yaml").exists():
        _trained(settings_from(settings.text, trust=True, out=str(folder)), quiet, given)
        return run
    require_same(folder, settings, trust)
    if not run.read_metrics().get("finished"):
        _resumed(folder, (), quiet, trust, given)
    return run


def require_same(folder: Path, settings: Settings, trust: bool = False, likelihood: str | None = None) -> None:
    """Check that the run in a folder has these options. Device, tracker and the folder of the data may be others.

    What the options leave to the data or to the machine (the likelihood, its levels, the precision) is the run's own.

    Args:
        folder: of a run.
        settings: the options that are wanted.
        trust: whether the folder may name any code.
        likelihood: that suits the data, if the options leave it open; by default the run's own.

    Raises:
        InputError: if it was trained with other options; it names them.
    """
    text, where = RunFolder(folder).config_text(), str(folder / "config.yaml")
    ignored: dict[str, Any] = {"device": "auto", "tracker": None, "data_root": None}
    there = settings_from(text, trust, where, **ignored)
    wanted, saved = {**places(settings.config), **ignored}, read_table(text, where)
    its_own = saved.get("likelihood")
    if needs_likelihood(settings.config):
        wanted["likelihood"] = likelihood or its_own
    elif isinstance(its_own, dict) and "levels" in (its_own.get("init_args") or {}):
        wanted |= with_levels(settings, lambda: its_own["init_args"]["levels"])
    if settings.config.precision == "auto":
        wanted["precision"] = saved.get("precision", "fp32")
    asked = settings_from(settings.text, trust=True, **wanted)
    found = differences(read_table(there.text, where), read_table(asked.text, where))
    if differing := [f"{name} is {', not '.join(shown(*pair))}" for name, *pair in found]:
        raise InputError(f"{folder} was trained with other options ({'; '.join(differing)}): choose another folder")


def _trained(settings: Settings, quiet: bool, given: InMemory | None = None) -> Run:
    with begin(settings, quiet, given) as session:
        fit(*session)
    return load(session.recorder.folder.path, trust=True)


def _resumed(folder: Path, changes: Sequence[str], quiet: bool, trust: bool, given: InMemory | None = None) -> Run:
    with reopen(folder, changes, quiet, trust, given) as session:
        fit(*session)
    return load(folder, trust=trust)
