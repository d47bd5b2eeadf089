"""Guides x seeds as run folders: nothing is done twice, a failure stops nothing, the numbers are those of the runs."""

import csv
import json
import shlex
import subprocess
import sys
from typing import ClassVar

import numpy as np
import pytest
from comparisons import QUICK, SMALL, compare, counted
from rich.console import Console

import pyro_vae
from pyro_vae import svi
from pyro_vae.compare import command
from pyro_vae.compare.dashboard import Dashboard
from pyro_vae.compare.diagnosis import diagnose
from pyro_vae.compare.grid import Trial
from pyro_vae.compare.options import make_plan
from pyro_vae.compare.results import check_alike, read
from pyro_vae.compare.statistics import interval
from pyro_vae.data import Binarizer, load_data
from pyro_vae.errors import InputError
from pyro_vae.estimators import active_units, elbo
from pyro_vae.runs import RunFolder
from pyro_vae.seeds import batch_seed
from pyro_vae.trackers import OWN


@pytest.fixture
def grid(tmp_path, monkeypatch):
    return lambda *words: compare(monkeypatch, *words, "--out", str(tmp_path / "out"))


def test_runs_of_one_seed_start_alike_and_the_numbers_are_theirs(grid, tmp_path, capsys):
    found = grid("--guides", "MeanField,FullRank", "--seeds", "2", *QUICK, "--measures", "elbo,gap,units")
    folders = {path.name: path for path in (tmp_path / "out" / "runs").iterdir()}
    assert set(folders) == {"MeanField-seed0", "MeanField-seed1", "FullRank-seed0", "FullRank-seed1"}

    # each image's ELBO is what the estimator gives for the run as it lies there
    run = pyro_vae.load(folders["FullRank-seed1"])
    x = next(Binarizer(False).held_out(load_data("digits").test, 60))
    again = elbo(run.model, run.guide, x, 10, seed=batch_seed(0, 0) % 2**31).elbo.per_image
    assert again is not None
    ours = found.reports["FullRank"].results[1].per_image["elbo"]
    np.testing.assert_allclose(ours, again.numpy(), atol=1e-3)

    # differences are paired by seed and image
    each = {
        arm: np.stack([r.per_image["elbo"] for r in report.results.values()]) for arm, report in found.reports.items()
    }
    shown = found.reports["FullRank"].differences["elbo"]
    assert shown._replace(smallest=None, more_seeds=None) == interval(each["FullRank"] - each["MeanField"], 0.95)
    assert shown.smallest > 0
    assert shown.value == pytest.approx(each["FullRank"].mean() - each["MeanField"].mean())
    gap = found.reports["FullRank"].figures
    whole = gap["approximation_gap"].value + gap["amortization_gap"].value
    assert gap["inference_gap"].value == pytest.approx(whole, abs=1e-6)
    size = sum(p.numel() for p in run.guide.parameters())
    assert found.reports["FullRank"].cost.guide_parameters == size
    assert found.reports["FullRank"].cost.hours == pytest.approx(
        np.mean([r.metrics["core_seconds"] for r in found.reports["FullRank"].results.values()]) / 3600
    )
    assert all(r.metrics["core_seconds"] > 0 for r in found.reports["FullRank"].results.values())

    # and so is the number of directions, of which the diagnosis tells
    counts = {arm: [r.directions for r in report.results.values()] for arm, report in found.reports.items()}
    assert counts["FullRank"][1] == pytest.approx(active_units(run.guide, x, 10).directions.value, abs=1e-3)
    assert f"{np.mean(counts['FullRank']):.1f}" in diagnose(found.reports).rows["FullRank"][-1]

    # each number says over which images it is, and the ELBO beside log p(x) is over those of log p(x)
    evidence = [r.per_image["log_evidence"] for r in found.reports["FullRank"].results.values()]
    assert all(len(values) == 4 for values in evidence)
    [line] = [line for line in found.answers.why if "log p(x) of the first 4 test images: " in line]
    assert f"FullRank {np.mean(evidence):.2f}, their ELBO {each['FullRank'][:, :4].mean():.2f}, " in line
    assert "over 60 images" in found.answers.which[0]

    record = json.loads((tmp_path / "out" / "comparison.json").read_text())
    arm = next(arm for arm in record["arms"] if arm["name"] == "FullRank")
    assert arm["difference_to_baseline"]["elbo"]["value"] == pytest.approx(shown.value)
    assert arm["difference_to_baseline"]["elbo"]["verdict"] == shown.verdict
    with open(tmp_path / "out" / "comparison.csv", newline="") as file:
        rows = {(row["run"], row["split"], row["figure"]): row for row in csv.DictReader(file)}
    of_run = rows["FullRank-seed1", "test", "elbo"]
    assert float(of_run["value"]) == pytest.approx(ours.mean())
    assert (of_run["arm"], of_run["seed"], of_run["images"], of_run["bound"]) == ("FullRank", "1", "60", "lower")
    said = capsys.readouterr().out
    assert "[4/4]" in said
    assert found.answers.headline in said
    # progress lines, table and report have one number for one run
    assert f"FullRank-seed1: test ELBO {ours.mean():.2f} nats per image" in said
    assert f">{ours.mean():.2f} (" in (tmp_path / "out" / "report.html").read_text()

    # the command that is given for a run repeats it
    [repeat] = [run["command"] for run in record["runs"] if run["name"] == "FullRank-seed1"]
    words = shlex.split(repeat)
    assert words[:3] == ["python", "-m", "pyro_vae.svi"]
    svi.main([*words[3:], "--out", str(tmp_path / "again")])
    first, second = (RunFolder(path).read_trace() for path in (folders["FullRank-seed1"], tmp_path / "again"))
    assert [row.elbo for row in first] == [row.elbo for row in second]


def test_asked_again_it_trains_nothing_and_says_the_same(grid, tmp_path, monkeypatch):
    words = ["--guides", "MeanField", "--seeds", "2", *QUICK]
    grid(*words)
    before = (tmp_path / "out" / "comparison.json").read_bytes()
    trained = counted(monkeypatch)
    grid(*words)
    assert trained == []
    assert (tmp_path / "out" / "comparison.json").read_bytes() == before

    # a further seed and a further guide are all that is added
    grid("--guides", "MeanField,FullRank", "--seeds", "3", *QUICK)
    assert trained == ["FullRank-seed0", "FullRank-seed1", "MeanField-seed2", "FullRank-seed2"]


class Noted:
    """A tracker that keeps what it is told."""

    told: ClassVar[list] = []

    def start(self, name, options, resumed):
        self.name = name
        self.told.append((name, options["guide"]))
        return name

    def log(self, step, values):
        self.told.append((self.name, values["test/elbo"]))

    def finish(self, values, files):
        self.told.append((self.name, values["test_elbo"]))


def test_every_run_is_told_to_the_tracker_and_the_same_runs_need_none(grid, tmp_path, monkeypatch):
    monkeypatch.setitem(OWN, "noted", Noted)
    words = ["--guides", "MeanField,FullRank", "--seeds", "1", *QUICK]
    grid(*words, "--tracker", "noted")
    for name in ("MeanField-seed0", "FullRank-seed0"):
        folder = RunFolder(tmp_path / "out" / "runs" / name)
        elbos = [row.elbo for row in folder.read_trace() if row.split == "test"]
        ended = folder.read_metrics()["test_elbo"]["value"]
        told = [what for run, what in Noted.told if run == name]
        assert told == [name.partition("-")[0], *elbos, ended]
    trained = counted(monkeypatch)
    grid(*words)
    assert trained == []


def test_a_failed_run_is_reported_and_the_rest_goes_on(grid, tmp_path, capsys):
    # A step this long sends the weights to infinity.
    found = grid("--lr", "0.001,1e30", "--seeds", "2", *QUICK)
    assert set(found.failed) == {"lr=1e30-seed0", "lr=1e30-seed1"}
    assert "no longer finite" in found.failed["lr=1e30-seed0"]
    assert set(found.reports["lr=0.001"].results) == {0, 1}
    assert not found.reports["lr=1e30"].results
    assert "failed: lr=1e30-seed1" in capsys.readouterr().out
    assert "Traceback" in (tmp_path / "out" / "logs" / "lr=1e30-seed0.txt").read_text()
    record = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [run["seed"] for run in record["runs"] if "no longer finite" in run.get("failed", "")] == [0, 1]
    assert "not compared" in (tmp_path / "out" / "report.html").read_text()


def test_where_all_fail_it_is_one_line(grid):
    with pytest.raises(InputError, match="no run has finished") as error:
        grid("--lr", "1e30", "--seeds", "1", *QUICK)
    assert "\n" not in str(error.value)


def test_runs_measured_in_other_ways_are_not_compared(grid, tmp_path):
    plan = make_plan(["--guides", "MeanField", "--seeds", "2", *QUICK, *SMALL, "--out", str(tmp_path / "out")])
    grid("--guides", "MeanField", "--seeds", "2", *QUICK)
    results = [read(trial) for trial in plan.trials]
    check_alike(results)
    entry = results[1].metrics["evaluation"]["test"]["elbo"]["settings"]
    entry["samples"] = 11
    with pytest.raises(InputError, match="measured with other samples"):
        check_alike(results)


def test_two_commands_do_not_share_a_folder(tmp_path):
    with command.only_one(tmp_path), pytest.raises(InputError, match="another compare"), command.only_one(tmp_path):
        pass
    with command.only_one(tmp_path):
        pass


def test_the_dashboard_shows_how_far_each_run_is(train, tmp_path):
    path = train("done").path
    todo = [Trial("a", 0, path, "", "cpu"), Trial("b", 0, tmp_path / "later", "", "cpu")]
    console = Console(force_terminal=True, width=120, height=30)
    dashboard = Dashboard(todo, console)
    with console.capture() as first:
        console.print(dashboard._screen())
    assert "0 of 2 runs done" in first.get()
    assert "measuring" in first.get()
    assert "not begun" in first.get()
    with console.capture() as said:
        dashboard.tell(todo[0], None)
        dashboard.tell(todo[1], "no memory")
    assert "[2/2] later: failed: no memory" in said.get()
    with console.capture() as last:
        console.print(dashboard._screen())
    assert "2 of 2 runs done, 1 failed" in last.get()
    elbo = RunFolder(path).read_trace()[-1].elbo
    assert f"{elbo:.2f}" in last.get()


def test_bad_input_ends_with_exit_code_two(tmp_path):
    words = [sys.executable, "-m", "pyro_vae.compare", "--guides", "MeanField,IAV", "--out", str(tmp_path / "out")]
    ended = subprocess.run(words, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "nearest: IAF" in ended.stderr
    assert not (tmp_path / "out").exists()
