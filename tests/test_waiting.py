"""While other processes need the processors, PyTorch's threads sleep soon; a user's own choice stays."""

import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
import torch

from pyro_vae import waiting

COUNTING = "import os\nos.sched_setaffinity(0, [{0}])\nwhile True: pass"


@pytest.fixture(autouse=True)
def on_two_threads(monkeypatch):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


def of_the_process():
    """The number of its threads, Python's and others."""
    return len(os.listdir("/proc/self/task"))


def soon(condition):
    """Whether it comes true within some seconds."""
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def test_openmp_has_more_threads_than_processors_and_then_its_own_again():
    torch.zeros(2 * waiting.GRAIN).add_(1.0)  # the first operation makes this thread's own
    before = of_the_process()
    with waiting.more_threads():
        pythons = threading.active_count()
        assert soon(lambda: of_the_process() > before + 1)  # one of Python's and one of OpenMP's at least
    assert threading.active_count() < pythons
    assert soon(lambda: of_the_process() == before)


def test_what_another_process_uses_is_counted_and_this_process_is_not():
    processor = max(os.sched_getaffinity(0))
    other = subprocess.Popen([sys.executable, "-c", COUNTING.format(processor)])
    try:
        before = waiting.used_by_others()
        assert soon(lambda: waiting.used_by_others() > before + 0.3)
    finally:
        other.kill()
        other.wait()


@pytest.fixture
def others(monkeypatch):
    """Others that use so many processors; what happens is in a list."""
    used, done = [0.0], []

    @contextmanager
    def more():
        done.append("asleep")
        yield
        done.append("awake")

    monkeypatch.setattr(waiting, "used_by_others", lambda: used[0] * time.monotonic())
    monkeypatch.setattr(waiting, "more_threads", more)
    monkeypatch.setattr(waiting, "SECONDS", 0.01)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})
    return used, done


def test_threads_sleep_only_while_the_others_need_the_processors(others):
    used, done = others
    with waiting.considerate():
        time.sleep(0.1)
        assert done == []
        used[0] = 1.0
        assert soon(lambda: done == ["asleep"])
        time.sleep(0.1)
        used[0] = 0.0
        assert soon(lambda: done == ["asleep", "awake"])
        used[0] = 1.0
        assert soon(lambda: done[2:] == ["asleep"])
    assert done[2:] == ["asleep", "awake"]


def test_processors_that_are_left_to_the_others_are_not_needed(others, monkeypatch):
    used, done = others
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2, 3})
    used[0] = 2.0
    with waiting.considerate():
        time.sleep(0.1)
    assert done == []


@pytest.mark.parametrize("name", ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"])
def test_a_choice_of_the_users_stays(others, name, monkeypatch):
    used, done = others
    used[0] = 1.0
    monkeypatch.setenv(name, "7")
    with waiting.considerate():
        time.sleep(0.1)
    assert done == []


def test_one_thread_waits_for_no_other(others):
    used, done = others
    used[0] = 1.0
    torch.set_num_threads(1)
    with waiting.considerate():
        time.sleep(0.1)
    assert done == []
