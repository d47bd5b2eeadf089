"""Commands that are killed again and again end as if nothing had happened.

    python -m benchmarks.kills --kills 200

SIGKILL, at random moments, of ``svi``, of ``svi --resume``, of ``evaluate`` and of ``compare`` with all its workers;
the same command, or ``--resume``, follows. After every kill each file that is there must be readable. When the work
ends, its numbers are held, digit by digit, against those of the same work undisturbed.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pyro_vae.pictures  # noqa: F401 (imported once, here, and not in every life)
from pyro_vae import evaluate, svi
from pyro_vae.cli import run_command
from pyro_vae.compare import command as compare
from pyro_vae.runs import RunFolder
from pyro_vae.training.log import Log

TINY = ["--encoder.hidden_dims", "[8]", "--decoder.hidden_dims", "[8]", "--latent-dim", "2", "--batch-size", "20"]
OPTIONS = [*TINY, "--data", "x.npy", "--epochs", "30", "--final-samples", "5", "--engine", "eager", "--device", "cpu"]
MEASURES = ["--only", "elbo,iwae,importance,units", "--images", "40", "--iwae-samples", "2000", "--device", "cpu"]
GRID = ["--guides", "MeanField,FullRank", "--seeds", "2", "--workers", "2", "--measures", "elbo,iwae", "--out", "c"]
OF_THE_CLOCK = ("environment", "cost", "gain_per_hour")
CLOCK = ("seconds", "images_per_second")

SHARES = {"svi": 0.4, "evaluate": 0.4, "compare": 0.2}  #: of the kills; svi is resumed by --resume

Main = Callable[[list[str]], Any]


def life(main: Main, argv: list[str], where: Path, seconds: float | None) -> int | None:
    """One life of a command in a fork: its exit code, or None if it was killed, with its own processes."""
    child = os.fork()
    if child == 0:
        os.setsid()
        os.chdir(where)
        out = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(out, 1), os.dup2(out, 2)
        torch.set_num_threads(1)
        Log.pictures = lambda *_: None  # type: ignore[method-assign]  # most of a short life otherwise
        try:
            run_command(main, argv)
        except SystemExit as end:
            sys.stdout.flush()
            os._exit(end.code if isinstance(end.code, int) else 1)
        except BaseException:  # nothing of the parent's work may go on in the child
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    until = None if seconds is None else time.monotonic() + seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if until is not None and time.monotonic() > until:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(0.005)


def without_clock(value: Any) -> Any:
    """A nested value without what tells the time; a sentence on core-hours does."""
    if isinstance(value, dict):
        return {k: without_clock(v) for k, v in value.items() if "second" not in k and k not in OF_THE_CLOCK}
    if isinstance(value, list):
        return [without_clock(item) for item in value if not (isinstance(item, str) and "core-hour" in item.lower())]
    return value


def numbers(run: Path) -> Any:
    """All that a run folder says, without the time."""
    folder = RunFolder(run)
    rows = [[v for k, v in row._asdict().items() if k not in CLOCK] for row in folder.read_trace()]
    return rows, without_clock(folder.read_metrics())


def readable(where: Path) -> None:
    """Read every file of the run folders below."""
    for config in where.rglob("config.yaml"):
        folder = RunFolder(config.parent)
        folder.config_table(), folder.read_trace(), folder.read_metrics()
        for which in ("best", "last", "evaluation"):
            if folder.checkpoint(which).exists():
                folder.checked(which)


@dataclass(frozen=True)
class Work:
    """A kind of work.

    Attributes:
        start: the folder in which it begins.
        step: the words of the command that begins it or goes on with it.
        found: what it found.
    """

    name: str
    main: Main
    start: Path
    step: Callable[[Path], list[str]]
    found: Callable[[Path], Any]

    def fresh(self, where: Path) -> Path:
        """A folder in which the work can begin."""
        shutil.rmtree(where, ignore_errors=True)
        shutil.copytree(self.start, where)
        return where

    def undisturbed(self, where: Path) -> tuple[Any, float]:
        """What it finds, and the seconds that it takes."""
        began = time.monotonic()
        code = life(self.main, self.step(self.fresh(where)), where, None)
        if code != 0:
            sys.exit(f"{self.name} fails undisturbed: {(where / 'said.txt').read_text()[-2000:]}")
        return self.found(where), time.monotonic() - began


def kill(work: Work, kills: int, root: Path, moments: random.Random) -> int:
    """Kill it so many times; returns how many times something was lost."""
    expected, seconds = work.undisturbed(root / "whole")
    where, lost, done, ends = work.fresh(root / "killed"), 0, 0, 0
    while done < kills:
        code = life(work.main, work.step(where), where, moments.uniform(0.02, max(0.4, seconds)))
        try:
            readable(where)
        except Exception as error:
            lost, code = lost + 1, 1
            print(f"{work.name}: after kill {done + 1}: {error}", flush=True)
        if code is None:
            done += 1
            continue
        ends += 1
        if code != 0 or work.found(where) != expected:
            lost += 1
            print(f"{work.name}: exit code {code}: {(where / 'said.txt').read_text()[-1500:]}", flush=True)
        work.fresh(where)
    code = life(work.main, work.step(where), where, None)
    if code != 0 or work.found(where) != expected:
        lost += 1
        print(f"{work.name}: at the end: exit code {code}: {(where / 'said.txt').read_text()[-1500:]}", flush=True)
    left = list(where.rglob("*.partial"))
    print(f"{work.name}: {done} kills, {ends + 1} ends, {lost} lost, {len(left)} partial files at the end", flush=True)
    return lost + len(left)


def works(root: Path) -> list[Work]:
    """The kinds of work, with the folders in which they begin."""
    bare, trained = root / "bare", root / "trained"
    bare.mkdir()
    np.save(bare / "x.npy", np.random.default_rng(0).random((200, 4, 4), np.float32))
    shutil.copytree(bare, trained)
    if life(svi.main, [*OPTIONS, "--out", "r"], trained, None) != 0:
        sys.exit((trained / "said.txt").read_text())

    def train_or_resume(where: Path) -> list[str]:
        return ["--resume", "r"] if (where / "r" / "config.yaml").exists() else [*OPTIONS, "--out", "r"]

    def comparison(where: Path) -> Any:
        found = without_clock(json.loads((where / "c" / "comparison.json").read_text()))
        for settings in (each for run in found["runs"] for each in run["evaluation"].values()):
            del settings["data"], settings["weights"]  # the folder's path, and a digest of a file that holds times
        return found

    return [
        Work("svi", svi.main, bare, train_or_resume, lambda where: numbers(where / "r")),
        Work("evaluate", evaluate.main, trained, lambda _: ["r", *MEASURES], lambda where: numbers(where / "r")),
        Work("compare", compare.main, bare, lambda _: [*GRID, *OPTIONS], comparison),
    ]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--kills", type=int, default=200, help="in all: two fifths of svi, two of evaluate, one of compare"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--only", choices=[*SHARES], help="kill one kind of work")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        lost = 0
        for work in works(Path(name)):
            share = SHARES[work.name] if given.only is None else float(given.only == work.name)
            if share:
                lost += kill(work, round(share * given.kills), Path(name), random.Random(given.seed))
    sys.exit(f"{lost} lost" if lost else 0)


if __name__ == "__main__":
    main()
