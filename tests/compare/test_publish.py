"""The report grows with the runs, and Ctrl-C leaves one of what there is; an index links several."""

import json
import os
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser

import pytest
from comparisons import SMALL, in_this_process

from pyro_vae.compare import processes, publish
from pyro_vae.compare.command import main
from pyro_vae.errors import InputError, Stopped

WORDS = ["--guides", "MeanField,FullRank", "--seeds", "2", "--epochs", "2", "--measures", "elbo", *SMALL]


def test_the_report_is_there_after_the_first_run_and_grows(tmp_path, monkeypatch):
    seen = []

    def watched(trials, work, told, workers, devices=("",)):
        def spy(trial, reason):
            told(trial, reason)
            record = json.loads((tmp_path / "out" / "comparison.json").read_text())
            assert (tmp_path / "out" / "report.html").exists()
            seen.append((sum("elbo" in run for run in record["runs"]), len(record["waiting"])))

        in_this_process(trials, work, spy, workers, devices)

    monkeypatch.setattr(processes, "run_in_processes", watched)
    monkeypatch.setattr("pyro_vae.compare.publish.PART", 1e9)  # every time
    main([*WORDS, "--out", str(tmp_path / "out")])
    assert seen == [(1, 3), (2, 2), (3, 1), (3, 1)]  # the last is written when all is done
    record = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert record["waiting"] == []


def test_ctrl_c_leaves_a_report_of_the_finished_runs(tmp_path, monkeypatch, capsys):
    def stopped(trials, work, told, workers, devices=("",)):
        in_this_process(trials[:3], work, told, workers, devices)
        raise KeyboardInterrupt

    monkeypatch.setattr(processes, "run_in_processes", stopped)
    with pytest.raises(Stopped):
        main([*WORDS, "--out", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "the same command resumes" in said
    assert str(tmp_path / "out" / "report.html") in said
    page = (tmp_path / "out" / "report.html").read_text()
    assert "So far: " in page
    assert "3 of 4 runs finished" in page
    record = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert record["waiting"] == ["FullRank-seed1"]
    assert not any("failed" in run for run in record["runs"])


def gone(group):
    """Whether no process of a group is left; waits a moment for the last ones."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.skipif(os.name != "posix", reason="a terminal's Ctrl-C goes to a group of processes on POSIX alone")
def test_a_real_ctrl_c_leaves_the_report_and_no_process(tmp_path):
    """As a terminal does: SIGINT to the command, the server that forks and the worker, while the second run trains."""
    out = tmp_path / "out"
    words = ["--guides", "MeanField", "--epochs", "1,5000", "--seeds", "1", "--workers", "1", "--measures", "elbo"]
    argv = [sys.executable, "-m", "pyro_vae.compare", *words, "--batch_size", "300", *SMALL, "--out", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        argv,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job would ignore it
    )
    second = out / "runs" / "MeanField_epochs=5000-seed0" / "trace.csv"
    deadline = time.monotonic() + 400
    while not ((out / "report.html").exists() and second.exists()):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert gone(process.pid)
    assert said.strip().splitlines()[-1].startswith("stopped; every finished epoch is kept: the same command resumes")
    assert "Traceback" not in said
    page = (out / "report.html").read_text()
    assert "So far: " in page
    assert "1 of 2 runs finished" in page
    record = json.loads((out / "comparison.json").read_text())
    assert record["waiting"] == ["MeanField_epochs=5000-seed0"]
    assert not any("failed" in run for run in record["runs"])


def test_ctrl_c_before_a_run_has_finished_says_so(tmp_path, monkeypatch, capsys):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(processes, "run_in_processes", stopped)
    with pytest.raises(Stopped):
        main([*WORDS, "--out", str(tmp_path / "out")])
    assert "report.html" not in capsys.readouterr().err
    assert not (tmp_path / "out" / "report.html").exists()


def test_a_report_that_cannot_be_written_yet_ends_no_run(tmp_path, monkeypatch, capsys):
    calls = []

    def fails_once(plan, comparison, write=publish.write):
        calls.append(len(comparison.waiting))
        if len(calls) == 1:
            raise RuntimeError("no room\nfor it")
        write(plan, comparison)

    monkeypatch.setattr(processes, "run_in_processes", in_this_process)
    monkeypatch.setattr(publish, "write", fails_once)
    main([*WORDS, "--out", str(tmp_path / "out")])
    assert calls == [3, 2, 0] or calls == [3, 2, 1, 0]
    assert "no report yet: no room for it" in capsys.readouterr().out
    assert "4 of 4 runs finished" in (tmp_path / "out" / "report.html").read_text()


class Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "a":
            self.found.append(dict(attributes)["href"])


def test_an_index_links_every_report(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(processes, "run_in_processes", in_this_process)
    for name in ("one", "a #2"):
        main([*WORDS[:2], "--seeds", "1", *WORDS[4:], "--out", str(tmp_path / name)])
    main(["--index", str(tmp_path)])
    assert str(tmp_path / "index.html") in capsys.readouterr().out
    page = (tmp_path / "index.html").read_text()
    assert sorted(Links(page).found) == ["a%20%232/report.html", "one/report.html"]
    assert page.count("One seed cannot show which arm is the best.") == 2
    assert "2 of 2 runs finished" in page

    (tmp_path / "one" / "comparison.json").write_text("[]")
    with pytest.raises(InputError, match="not the record"):
        main(["--index", str(tmp_path)])


def test_an_index_of_nothing_is_one_line(tmp_path):
    with pytest.raises(InputError, match="no comparison has a report"):
        main(["--index", str(tmp_path)])
    with pytest.raises(InputError, match="no such folder"):
        main(["--index", str(tmp_path / "none")])
    with pytest.raises(InputError, match="takes no other option"):
        main(["--index", str(tmp_path), "--seeds", "2"])
