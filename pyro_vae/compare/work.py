"""One run of the grid: trained or resumed by ``svi``, then measured by ``evaluate``. This runs in a worker."""

import os
import platform
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from pyro_vae.compare.grid import Trial
from pyro_vae.files import append_to
from pyro_vae.metrics import Metric, Options
from pyro_vae.options import settings_from


@dataclass(frozen=True)
class Work:
    """The work on each run.

    Attributes:
        logs: the folder for the output of the runs.
        options: of ``evaluate``.
        metrics: the metrics to measure.
        train: whether to measure bounds and gap on training images too.
        threads: the number of torch's threads in each process.
        trust: whether an existing run folder may name any code.
    """

    logs: Path
    options: Options
    metrics: Sequence[Metric]
    train: bool
    threads: int
    trust: bool = False

    def __call__(self, trial: Trial) -> None:
        """Train and measure one run; skip work that is already done.

        Raises:
            InputError: if the run cannot be trained or measured.
        """
        from pyro_vae.evaluate import evaluate
        from pyro_vae.lifecycle import complete

        torch.set_num_threads(self.threads)
        with said_to(self.logs / f"{trial.name}.txt"):
            # The command has checked the options, perhaps on another machine.
            folder = complete(trial.path, settings_from(trial.text, trust=True), trust=self.trust)
            if "environment" not in folder.read_metrics():
                folder.update_metrics(environment=environment(trial.device))
            evaluate([trial.path], self.options, self.metrics, train=self.train, device=trial.device, trust=self.trust)


@contextmanager
def said_to(path: Path) -> Iterator[None]:
    """In this context, append the output, and the traceback of an error, to a file."""
    with append_to(path) as file, redirect_stdout(file), redirect_stderr(file):
        try:
            yield
        except BaseException:
            traceback.print_exc()
            raise


def environment(device: str) -> dict[str, Any]:
    """The machine and the versions that trained a run."""
    from pyro_vae.device import choose_device

    where = choose_device(device)
    cuda = where.type == "cuda"
    packages = ("pyro_vae", "torch", "pyro-ppl", "zuko", "numpy")
    return {
        "device": torch.cuda.get_device_name(where) if cuda else processor(),
        "cuda": cuda,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "platform": f"{sys.platform}-{platform.machine()}",
        **{package: version(package) for package in packages},
    }


def processor() -> str:
    """The name of the processor, or of its architecture if the system gives no name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def cores() -> int:
    """The processor's cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
