"""One writer at a time: races that are made to meet, and locks whose holder is killed."""

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from pyro_vae import svi
from pyro_vae.errors import InputError
from pyro_vae.estimators import Estimate
from pyro_vae.evaluate.ledger import Entry, Ledger
from pyro_vae.locks import only
from pyro_vae.metrics import Finding
from pyro_vae.runs import RunFolder
from pyro_vae.starting import numbered
from pyro_vae.starting import take as take_folder

HOLD = "import sys, time; from pathlib import Path; from pyro_vae.locks import only\n"
HOLD += "with only(Path(sys.argv[1]), 'held'): print('held', flush=True); time.sleep(60)"


def test_a_lock_keeps_others_out_and_leaves_no_file(tmp_path):
    path = tmp_path / ".lock"
    with only(path, "held by another"):
        with pytest.raises(InputError, match="held by another"), only(path, "held by another"):
            pass
        assert path.exists()
    assert not path.exists()
    with only(path, "held by another"):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    path = tmp_path / ".lock"
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    with pytest.raises(InputError, match="taken"), only(path, "taken"):
        pass
    process.kill()
    process.wait()
    process.stdout.close()
    assert path.exists()
    with only(path, "taken"):
        pass


def test_many_that_wait_hold_it_one_after_another_though_the_file_comes_and_goes(tmp_path):
    inside, most, turns = 0, 0, 0

    def hold(_):
        nonlocal inside, most, turns
        for _ in range(10):
            with only(tmp_path / ".lock", "too long", patience=30):
                inside += 1
                most, turns = max(most, inside), turns + 1
                time.sleep(0.001)
                inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hold, range(8)))
    assert (most, turns) == (1, 80)


def test_a_link_in_the_place_of_the_lock_is_refused(tmp_path):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / ".lock").symlink_to(tmp_path / "victim")
    with pytest.raises(InputError, match="cannot be locked"), only(tmp_path / ".lock", "held"):
        pass
    assert (tmp_path / "victim").read_text() == "mine"


def test_two_runs_that_begin_in_one_folder_at_once_are_one(tmp_path, monkeypatch):
    """Both have seen that the folder is free before either writes into it."""
    meeting, first = threading.Barrier(2), threading.local()
    free = RunFolder.refuse_unless_free

    def meet(self):
        free(self)
        if not hasattr(first, "seen"):
            first.seen = True
            meeting.wait(10)

    monkeypatch.setattr(RunFolder, "refuse_unless_free", meet)

    def run(seed):
        with ExitStack() as held:
            try:
                take_folder(tmp_path / "x", f"seed: {seed}\n", held)
            except InputError as error:
                return str(error)
            ended.wait(10)
            return seed

    for attempt in range(10):
        ended = threading.Event()
        (tmp_path / "x").exists() and [path.unlink() for path in (tmp_path / "x").iterdir() if path.is_file()]
        with ThreadPoolExecutor(2) as pool:
            done = [pool.submit(run, seed) for seed in (1, 2)]
            time.sleep(0.1)
            ended.set()
            answers = [future.result() for future in done]
        [seed] = [answer for answer in answers if isinstance(answer, int)]
        [refusal] = [answer for answer in answers if isinstance(answer, str)]
        assert "another process trains the run" in refusal
        assert RunFolder(tmp_path / "x").config_text().startswith(f"seed: {seed}\n"), attempt


def test_twenty_runs_that_start_at_once_have_twenty_folders(tmp_path):
    meeting = threading.Barrier(20)

    def take(_):
        meeting.wait(10)
        return numbered(tmp_path / "runs", "digits-MeanField")

    with ThreadPoolExecutor(20) as pool:
        paths = list(pool.map(take, range(20)))
    assert sorted(int(path.name.split("-")[-1]) for path in paths) == list(range(1, 21))
    assert all(path.is_dir() for path in paths)


def take(parent, count, results):
    results.put([numbered(parent, "run").name for _ in range(count)])


def test_processes_have_folders_of_their_own(tmp_path):
    context = multiprocessing.get_context("forkserver")
    results = context.Queue()
    processes = [context.Process(target=take, args=(tmp_path, 20, results)) for _ in range(4)]
    for process in processes:
        process.start()
    names = [name for _ in processes for name in results.get(timeout=120)]
    for process in processes:
        process.join()
    assert len(set(names)) == 80


def test_a_bad_option_takes_no_number(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="--patience watches"):
        svi.main(["--patience", "3", "--validation", "0"])
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_trains_is_not_resumed_and_not_begun_again(train, tmp_path, monkeypatch):
    said = {}

    def meanwhile(self, *_):
        path = str(self.path)
        for words in (["--resume", path], ["--out", path]):
            with pytest.raises(InputError) as error:
                svi.main(words)
            said[words[0]] = str(error.value)

    monkeypatch.setattr(RunFolder, "write_trace", meanwhile)
    folder = train("a", "--epochs", "1")
    assert said["--resume"] == f"another process trains the run in {folder.path}"
    assert "already holds a run" in said["--out"]
    monkeypatch.undo()
    folder.checkpoint("last").unlink()
    svi.main(["--resume", str(folder.path)])
    assert folder.read_metrics()["finished"]
    assert not list(folder.path.glob(".*"))


def test_no_entry_of_the_metrics_is_lost_between_two_writers(tmp_path):
    folder = RunFolder(tmp_path)

    def write(name):
        for i in range(30):
            folder.update_metrics(**{f"{name}{i}": i})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, "abcd"))
    assert len(folder.read_metrics()) == 120


def finding(value):
    import torch

    return Finding({"f": Estimate.over(torch.full((3,), value), "by hand", 1)}, {})


def test_two_ledgers_of_one_run_keep_what_the_other_wrote(tmp_path):
    folder = RunFolder(tmp_path)
    one, two = Ledger(folder), Ledger(folder)
    one.keep("test", "elbo", {"seed": 0}, [finding(1.0), finding(2.0)], 1.0)
    two.keep("test", "iwae", {"seed": 0}, [finding(3.0)], 1.0)
    two.keep("test", "elbo", {"seed": 0}, [finding(1.0)], 1.0)  # it is one piece behind
    one.finish("test", "elbo", Entry({"seed": 0}, 1.0, {}, None))
    two.finish("test", "iwae", Entry({"seed": 0}, 1.0, {}, None))
    for ledger in (one, two, Ledger(folder)):
        assert len(ledger.begun("test", "elbo", {"seed": 0})[0]) == 2
        assert len(ledger.begun("test", "iwae", {"seed": 0})[0]) == 1
        assert ledger.entry("test", "elbo", {"seed": 0}) is not None
        assert ledger.entry("test", "iwae", {"seed": 0}) is not None
    two.keep("test", "elbo", {"seed": 1}, [finding(5.0)], 1.0)  # with other settings it is another measure
    assert len(Ledger(folder).begun("test", "elbo", {"seed": 1})[0]) == 1


def test_two_evaluations_of_one_run_both_end_well(train):
    folder = train("a")
    words = ["--images", "60", "--iwae_samples", "50", "--only", "elbo,iwae", "--train", "false", "--device", "cpu"]
    command = [sys.executable, "-m", "pyro_vae.evaluate", str(folder.path), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    both = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    found = json.loads((folder.path / "metrics.json").read_text())["evaluation"]["test"]
    assert {name: set(entry["figures"]) for name, entry in found.items()}.keys() == {"elbo", "iwae"}
    assert not list(folder.path.glob(".*"))
