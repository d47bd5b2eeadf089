"""Runs that are still going, seen from their folders."""

import threading
import time

import pytest
from rich.console import Console

from pyro_vae import traces
from pyro_vae.errors import InputError
from pyro_vae.live import Course, course, follow, live_table, sparkline
from pyro_vae.runs import RunFolder, TraceRow


def rows(*elbos):
    return [
        TraceRow(10 * (i + 1), i + 1, split, elbo, elbo + 20, 20.0, 1.0, None, 1e-3, 2.0 * (i + 1), 1e4)
        for i, elbo in enumerate(elbos)
        for split in ("train", "test")
    ]


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "run", "epochs: 5\neval_samples: 1\n")


def test_a_course_tells_what_is_done_and_what_is_left(folder, tmp_path):
    assert course(tmp_path / "nowhere") == Course("not begun")
    assert course(folder.path) == Course("begun", 0, 5)
    folder.write_trace(rows(-100.0, -80.0, -85.0))
    now = course(folder.path)
    assert now == Course("training", 3, 5, -85.0, -85.0, -80.0, 6.0, (-100.0, -80.0, -85.0))
    assert now.left == pytest.approx(4.0)  # two epochs of two seconds
    folder.update_metrics(finished=True)
    assert (course(folder.path).state, course(folder.path).left) == ("trained", None)


def test_the_table_has_a_line_for_each_run_and_survives_a_damaged_one(folder, tmp_path):
    folder.write_trace(rows(-100.0, -80.0))
    damaged = RunFolder.create(tmp_path / "damaged", "epochs: 5\n")
    (damaged.path / "trace.csv").write_text("nonsense\n1\n")
    console = Console(width=120)
    with console.capture() as said:
        console.print(live_table([folder.path, tmp_path / "later", damaged.path]))
    lines = {line.split()[0]: line for line in said.get().splitlines() if line.strip()}
    assert lines["run"].split()[:1] == ["run"]
    assert "2/5" in said.get()
    assert "-80.00" in said.get()
    assert "not begun" in lines["later"]
    assert "damaged" in said.get()


def test_a_curve_rises_where_the_elbo_does():
    assert sparkline([]) == ""
    assert sparkline([1.0, 1.0]) == "▁▁"
    rising = sparkline([float(i) for i in range(100)], 10)
    assert len(rising) == 10
    assert list(rising) == sorted(rising)
    # a first value far below does not press the rest flat
    assert len(set(sparkline([-1e6, *map(float, range(99))], 10))) > 5


def test_follow_goes_on_until_all_are_trained(folder):
    console = Console(width=100, force_terminal=False)
    folder.write_trace(rows(-100.0))

    def train():
        time.sleep(0.3)
        folder.write_trace(rows(-100.0, -80.0))
        time.sleep(0.3)
        folder.update_metrics(finished=True)

    other = threading.Thread(target=train)
    with console.capture() as said:
        other.start()
        follow([folder.path], console, every=0.05)
        other.join()
    assert said.get().splitlines() == [
        "run: epoch 1/5  test ELBO -100.00  best -100.00",
        "run: epoch 2/5  test ELBO -80.00  best -80.00",
    ]


def test_traces_live_follows_and_then_shows_the_table(folder, capsys):
    folder.write_trace(rows(-100.0, -80.0))
    folder.update_metrics(finished=True)
    traces.main([str(folder.path), "--live"])
    said = capsys.readouterr().out
    assert said.startswith("run: epoch 2/5")
    assert "Test ELBO, nats per image" in said
    with pytest.raises(InputError, match="not a run"):
        traces.main([str(folder.path.parent), "--live"])
