"""What is seen while something goes on: the first line of a run, phases, and a word before long silence."""

import io
import json
import time

from rich.console import Console

from pyro_vae.compare.dashboard import Dashboard
from pyro_vae.compare.grid import Trial
from pyro_vae.evaluate.report import Line
from pyro_vae.heartbeat import Heartbeat, NotebookLine
from pyro_vae.live import Course
from pyro_vae.training.progress import ProgressBar


def test_a_word_is_said_before_long_silence_and_ever_more_seldom():
    said = []
    with Heartbeat(lambda line: said.append(time.monotonic()), lambda: "at work", silence=0.2):
        began = time.monotonic()
        time.sleep(2.0)
    after = [round(moment - began, 2) for moment in said]
    assert 2 <= len(after) <= 4  # 0.2, 0.6, 1.4 seconds on an idle machine
    assert after[1] - after[0] > 0.35


def test_no_word_is_said_while_other_words_are():
    said = []
    with Heartbeat(said.append, lambda: "at work", silence=1.5) as heart:
        for _ in range(10):
            time.sleep(0.2)
            heart.heard()
    assert said == []


def test_the_first_line_of_a_run_says_all_of_it(train, capsys):
    folder = train("run", "--guide", "FullRank", "--epochs", "1", "--engine", "auto")
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == (
        "digits: 1,297 training images of 1x8x8; model VAE, guide FullRank, latent_dim 3; cpu, engine auto;"
        f" run folder {folder.path}"
    )
    assert second == "engine eager"


def test_the_bar_names_the_phase_at_work_and_is_there_in_a_narrow_terminal():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=50, color_system=None)
    with ProgressBar(2, 0, 3, console=console) as bar:
        for phase in ("compiling", "training", "measuring"):
            bar.phase(phase)
            bar.bar.refresh()
        bar.step()
        bar.epoch(1, {"train": 1.0, "test": 2.0}, 1000.0)
        bar.bar.refresh()
    shown = out.getvalue()
    assert all(word in shown for word in ("compiling", "training", "measuring", "epoch 2/2", "test 2.00", "━"))


def test_a_run_without_a_terminal_says_what_goes_on():
    out = io.StringIO()
    with ProgressBar(2, 0, 3, console=Console(file=out, width=200)) as bar:
        bar.heart.silence = 0.2
        bar.phase("compiling")
        time.sleep(1.5)
    assert "epoch 1/2  compiling (0% of the steps are done)\n" in out.getvalue()


def test_an_evaluation_without_a_terminal_names_the_search_of_the_gap(capsys):
    line = Line()
    line.run, line.heart.silence = "runs/a", 0.2
    with line:
        line.going("test", "gap", 25, 50)
        time.sleep(1.5)
    expected = "runs/a: gap, test (the search for each image's best posterior): 50% is done\n"
    assert expected in capsys.readouterr().out


def test_a_comparison_without_a_terminal_says_what_its_workers_do(tmp_path):
    out = io.StringIO()
    trial = Trial("IAF", 0, tmp_path / "IAF-seed0", "", "cpu")
    dashboard = Dashboard([trial], Console(file=out, width=200))
    dashboard.heart.silence = 0.2
    with dashboard:
        time.sleep(1.5)
    first, second, *_ = out.getvalue().splitlines()
    assert first == "1 runs are trained and measured: IAF-seed0"
    assert second == "0 of 1 runs done; the workers import PyTorch and Pyro"


def test_measuring_says_how_long_it_takes_by_the_runs_that_are_done(tmp_path):
    trials = [Trial("IAF", seed, tmp_path / f"IAF-seed{seed}", "", "cpu") for seed in range(2)]
    dashboard = Dashboard(trials, Console(file=io.StringIO(), width=200))
    for trial, seconds in zip(trials, (30.0, 10.0), strict=True):
        trial.path.mkdir()
        evaluation = {"test": {"elbo": {"seconds": seconds}}}
        metrics = {
            "test_elbo": {"value": 1.0},
            "seconds": 1.0,
            "core_seconds": 2.0,
            "finished": True,
            "evaluation": evaluation,
        }
        (trial.path / "metrics.json").write_text(json.dumps(metrics))
    assert dashboard._state(trials[1].path, Course("trained")) == "measuring"
    dashboard.tell(trials[0], None)
    assert dashboard._state(trials[1].path, Course("trained")) == "measuring, 20 s left"


def test_a_notebook_line_is_replaced_and_not_repeated(monkeypatch):
    import sys
    from types import ModuleType, SimpleNamespace

    shown = []
    display = ModuleType("IPython.display")
    display.display = lambda data, **_: (
        shown.append(data) or SimpleNamespace(update=lambda data, **_: shown.append(data))
    )
    ipython = ModuleType("IPython")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=1)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    assert NotebookLine.possible()
    line = NotebookLine()
    line.show(0.25, "epoch 1/4 <training>")
    line.show(0.5, "too soon after the last")
    line.show(1.0, "done")
    assert [data["text/plain"] for data in shown] == ["25% epoch 1/4 <training>", "100% done"]
    assert "&lt;training&gt;" in shown[0]["text/html"]
