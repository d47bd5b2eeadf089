"""The processes of compare, and Ray: one that dies takes no other with it, a killed command goes on."""

import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from comparisons import NETWORK, QUICK, SMALL, WithoutPictures, counted

from pyro_vae.compare import command
from pyro_vae.compare.cluster import run_on_ray
from pyro_vae.compare.grid import Trial
from pyro_vae.compare.options import make_plan
from pyro_vae.compare.processes import run_in_processes
from pyro_vae.compare.results import read
from pyro_vae.compare.work import Work
from pyro_vae.errors import InputError
from pyro_vae.runs import RunFolder


def act(trial):
    """The work of a process in the next test: what it does is in the trial's text."""
    if trial.text == "fails":
        raise InputError("said in one line")
    if trial.text == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if trial.text == "meets a Ctrl-C":  # which the command answers for it
        os.kill(os.getpid(), signal.SIGINT)
    trial.path.write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "none"))


def trials(tmp_path, *texts):
    return [Trial("arm", i, tmp_path / f"{i}", text, "cpu") for i, text in enumerate(texts)]


def test_a_process_that_dies_takes_no_other_with_it(tmp_path):
    told = {}
    todo = trials(tmp_path, "is killed", "fails", "works", "meets a Ctrl-C")
    run_in_processes(todo, act, lambda trial, reason: told.update({trial.seed: reason}), 2, ["5", "7"])
    assert told == {0: "its process was ended by SIGKILL", 1: "said in one line", 2: None, 3: None}
    assert {todo[2].path.read_text(), todo[3].path.read_text()} <= {"5", "7"}


def works_long(trial):
    time.sleep(60)


def test_a_ctrl_c_while_a_process_starts_ends_it(tmp_path, monkeypatch):
    """The server that forks is at its imports for seconds, and answers no one."""
    started = ForkServerProcess.start

    def start(process):
        time.sleep(1.5)
        started(process)

    monkeypatch.setattr(ForkServerProcess, "start", start)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            run_in_processes(trials(tmp_path, "", ""), works_long, lambda *_: None, 1)
        assert time.monotonic() - began < 40
    finally:
        signal.signal(signal.SIGINT, before)


LONG = [
    "--guides",
    "MeanField,FullRank",
    "--seeds",
    "1",
    "--epochs",
    "30",
    "--batch_size",
    "300",
    "--workers",
    "1",
    "--measures",
    "elbo",
]
LONG += [*NETWORK, "--device", "cpu", "--final_samples", "2", "--evaluate.elbo_samples", "5"]


def main_of_a_process(argv):
    """What the killed command runs: the command itself, but for pictures."""
    command.Work = WithoutPictures  # type: ignore[misc]
    command.main(argv)


def test_killed_and_started_again_it_goes_on_with_what_is_not_finished(tmp_path, monkeypatch):
    runs = tmp_path / "out" / "runs"
    argv = [*LONG, "--out", str(tmp_path / "out")]
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\nimport test_processes\n"
    code += f"if __name__ == '__main__': test_processes.main_of_a_process({argv!r})"
    (tmp_path / "main.py").write_text(code)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, str(tmp_path / "main.py")], env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not (runs / "FullRank-seed0" / "trace.csv").exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    time.sleep(0.5)  # the process of the run sees that its parent is gone
    epochs = len(RunFolder(runs / "FullRank-seed0").read_trace())
    time.sleep(0.5)
    assert len(RunFolder(runs / "FullRank-seed0").read_trace()) == epochs < 3 * 30
    finished = (runs / "MeanField-seed0" / "checkpoint.last.safetensors").stat().st_mtime_ns

    trained = counted(monkeypatch)
    monkeypatch.setattr(command, "Work", WithoutPictures)
    monkeypatch.setattr("pyro_vae.compare.processes.run_in_processes", _here)
    command.main(argv)
    assert trained == ["FullRank-seed0"]
    assert (runs / "MeanField-seed0" / "checkpoint.last.safetensors").stat().st_mtime_ns == finished
    assert len(RunFolder(runs / "FullRank-seed0").read_trace()) == 3 * 30
    assert (tmp_path / "out" / "report.html").exists()


def _here(trials, work, told, workers, devices=("",)):
    for trial in trials:
        work(trial)
        told(trial, None)


def test_two_ray_workers(tmp_path, monkeypatch):
    pytest.importorskip("ray", reason='Ray is not installed: pip install "pyro_vae[ray]"')
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    plan = make_plan(["--guides", "MeanField,FullRank", "--seeds", "1", *QUICK, *SMALL, "--out", str(tmp_path / "out")])
    logs = tmp_path / "out" / "logs"
    logs.mkdir(parents=True)
    work = WithoutPictures(logs, plan.evaluate, plan.metrics, False, threads=1)
    lost = Trial("lost", 0, tmp_path / "lost", "not: [yaml", "cpu")
    told = {}
    run_on_ray([*plan.trials, lost], work, lambda t, reason: told.update({t.name: reason}), "local", 2, 1)
    assert told["MeanField-seed0"] is None
    assert told["FullRank-seed0"] is None
    assert "the configuration cannot be read" in told["lost"]
    assert [read(trial).per_image["elbo"].shape for trial in plan.trials] == [(60,), (60,)]


def test_without_ray_the_way_to_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install .pyro_vae\[ray\]"):
        run_on_ray([], Work, lambda *_: None, "local", 2, 1)
