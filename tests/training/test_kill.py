"""A run that is killed again and again still ends, and ends as if nothing had happened."""

import csv
import multiprocessing
import random
import shutil
import time
from pathlib import Path

import pytest

from pyro_vae.runs import RunFolder

FLAGS = ["--epochs", "40", "--final-samples", "2", "--latent-dim", "3", "--engine", "eager", "--batch-size", "300"]
KILLS = 20


def work(argv: list[str]) -> None:
    """One life of the run, in a process of its own."""
    import torch

    from pyro_vae import svi
    from pyro_vae.training.log import Log

    torch.set_num_threads(1)
    Log.pictures = lambda *_: None  # type: ignore[method-assign]  # drawing is most of a short life otherwise
    svi.main(argv)


def live(context, argv: list[str], seconds: float | None) -> int | None:
    """Run until the end, or SIGKILL after so many seconds; the exit code, None where it was killed."""
    process = context.Process(target=work, args=(argv,))
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
        return None
    return process.exitcode


def numbers(path: Path) -> list[list[str]]:
    """The trace without the two columns that tell the time."""
    with open(path / "trace.csv", newline="") as file:
        return [row[:9] for row in csv.reader(file)]


def test_killed_at_twenty_random_moments_the_trace_is_that_of_an_undisturbed_run(tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["pyro_vae.svi", "pyro_vae.training.log", "torch.utils.tensorboard", "sklearn.datasets"]
    )
    began = time.monotonic()
    assert live(context, [*FLAGS, "--out", str(tmp_path / "whole")], None) == 0
    span = time.monotonic() - began
    moments = random.Random(0)
    folder = RunFolder(tmp_path / "killed")
    kills, lives = 0, 0
    while kills < KILLS:
        lives += 1
        begun = (folder.path / "config.yaml").exists()
        argv = ["--resume", str(folder.path)] if begun else [*FLAGS, "--out", str(folder.path)]
        code = live(context, argv, moments.uniform(0.02, max(0.4, span / 4)))
        if code is None:
            kills += 1
        elif code == 0:
            # It came to its end between two kills: the rest of them hit a run that begins anew.
            assert numbers(folder.path) == numbers(tmp_path / "whole")
            shutil.rmtree(folder.path)
        else:
            pytest.fail(f"the run could not go on after a kill: exit code {code}")
        # Whatever is there can be read: nothing is torn.
        for which in ("best", "last"):
            if folder.checkpoint(which).exists():
                folder.restore(which)
        folder.read_metrics()
        assert all(row.epoch >= 1 for row in folder.read_trace())
    begun = (folder.path / "config.yaml").exists()
    assert live(context, ["--resume", str(folder.path)] if begun else [*FLAGS, "--out", str(folder.path)], None) == 0
    assert numbers(folder.path) == numbers(tmp_path / "whole")
    assert folder.read_metrics()["finished"]
