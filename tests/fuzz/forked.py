"""One command in a fork of this process, which has imported the package: bounded in time and in memory."""

import contextlib
import os
import signal
import sys
import time
import traceback
import warnings
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

MODULES = {
    "svi": "pyro_vae.svi",
    "evaluate": "pyro_vae.evaluate",
    "traces": "pyro_vae.traces",
    "compare": "pyro_vae.compare.command",
}
SECONDS = 20  #: of processor time; a case that needs more hangs
WALL = 120  #: seconds
MEMORY = 8 * 2**30  #: bytes of address space

# What the commands import while they run, so that no fork imports it again.
HEAVY = [
    *("torch.utils.tensorboard", "matplotlib.backends.backend_agg", "PIL.Image", "PIL.ImageSequence", "PIL.ImageOps"),
    *("sklearn.datasets", "scipy.stats", "pyro_vae.live", "pyro_vae.pictures", "pyro_vae.events", "pyro_vae.lifecycle"),
    *("pyro_vae.evaluate.pictures", "pyro_vae.compare.pictures", "pyro_vae.compare.report", "PIL.PngImagePlugin"),
]


class Outcome(NamedTuple):
    """How a command ended.

    Attributes:
        code: its exit code; the negative number of the signal that ended it.
        hung: it was killed after its time.
        said: its standard output and standard error.
    """

    code: int
    hung: bool
    said: str
    error: str


def preload() -> None:
    """Import everything once."""
    for name in [*MODULES.values(), *HEAVY]:
        with contextlib.suppress(ImportError):
            import_module(name)


def command(name: str, argv: list[str], folder: Path, pictures: bool = False) -> Outcome:
    """Run a command in this working folder.

    Args:
        name: of the command.
        argv: the words after its name.
        folder: the working folder; its output goes beside it.
        pictures: draw them, which takes most of the time of a short run.
    """
    out, err = folder.with_suffix(".out"), folder.with_suffix(".err")
    child = os.fork()
    if child == 0:
        try:
            _be_the_command(name, argv, folder, out, err, pictures)
        finally:
            os._exit(70)
    began, hung = time.monotonic(), False
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() - began > WALL:
            hung = True
            os.kill(child, signal.SIGKILL)
        time.sleep(0.005)
    code = os.waitstatus_to_exitcode(status)
    hung = hung or code in (-signal.SIGXCPU, -signal.SIGKILL)
    said, error = (path.read_text(encoding="utf-8", errors="replace") for path in (out, err))
    return Outcome(code, hung, said, error)


def _be_the_command(name: str, argv: list[str], folder: Path, out: Path, err: Path, pictures: bool) -> None:
    import resource

    import torch

    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.setsid()
    os.chdir(folder)
    for path, number in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", buffering=1) for number in (1, 2))  # noqa: SIM115
    sys.argv = [name, *argv]
    torch.set_num_threads(1)
    warnings.resetwarnings()  # pytest makes errors of them
    if not pictures:
        from pyro_vae.training.log import Log

        Log.pictures = lambda *_: None  # type: ignore[method-assign]
    from pyro_vae.cli import run_command

    code = 1
    try:
        run_command(import_module(MODULES[name]).main)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(code)
