"""trace.csv is appended: its cost does not grow with the run, and nothing that a killed run left is kept."""

import errno
import os
from pathlib import Path

import pytest
from run_cases import trace

from pyro_vae import files, svi
from pyro_vae.errors import InputError
from pyro_vae.files import append_durably
from pyro_vae.runs import RunFolder
from pyro_vae.trace import parse_trace
from pyro_vae.training.recorder import Recorder


def test_the_whole_trace_is_written_once_and_then_each_epoch_its_rows_alone(train, monkeypatch):
    whole, appended = [], []
    write, append = RunFolder.write_trace, RunFolder.append_trace
    monkeypatch.setattr(RunFolder, "write_trace", lambda self, rows: (whole.append(len(rows)), write(self, rows)))
    monkeypatch.setattr(RunFolder, "append_trace", lambda self, rows: (appended.append(len(rows)), append(self, rows)))
    folder = train("a", "--epochs", "5")
    assert (whole, appended) == ([3], [3, 3, 3, 3])
    assert len(folder.read_trace()) == 15
    svi.main(["--resume", str(folder.path), "--epochs", "8"])
    assert (whole, appended[4:]) == ([3, 18], [3, 3])
    assert [row.epoch for row in folder.read_trace()] == [e for e in range(1, 9) for _ in range(3)]


@pytest.mark.parametrize("left", ["rows", "a part of a row", "rows and a part", "a part of an epoch"])
def test_what_lies_after_the_checkpoint_is_dropped_on_resume(left, train):
    folder, other = train("a", "--epochs", "4"), train("b", "--epochs", "3")
    svi.main(["--resume", str(other.path), "--epochs", "4"])
    undisturbed = trace(other)
    other = train("c", "--epochs", "3")
    more = (folder.path / "trace.csv").read_text().splitlines(keepends=True)[10:]  # of a fourth epoch
    part = {
        "rows": "".join(more),
        "a part of a row": more[0][:17],
        "rows and a part": "".join(more[:2]) + more[2][:9],
        "a part of an epoch": more[0],
    }[left]
    with open(other.path / "trace.csv", "a") as file:
        file.write(part)
    svi.main(["--resume", str(other.path), "--epochs", "4"])
    assert trace(other) == undisturbed == trace(folder)


def test_an_append_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "t"
    path.write_text("a\n")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        append_durably(path, "b\n")
    assert caught.value.filename == str(path)
    assert path.read_text() == "a\n"
    monkeypatch.undo()
    append_durably(path, "bé\n")
    assert path.read_text(encoding="utf-8") == "a\nbé\n"
    path.unlink()
    with pytest.raises(FileNotFoundError):
        append_durably(path, "b\n")
    path.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_text("")
    with pytest.raises(OSError, match="symbolic"):
        append_durably(path, "b\n")


def test_a_trace_that_is_being_written_is_read_up_to_its_last_whole_epoch(train):
    text = (train("a").path / "trace.csv").read_text()
    found = {len(parse_trace(text[:length], Path("t"))) for length in range(text.index("\n") + 1, len(text) + 1)}
    assert found == {0, 1, 2, 3, 6, 9}  # the rows of a first epoch are not yet known to be three


def test_numbers_that_are_not_finite_and_other_columns_are_refused(train):
    text = (train("a").path / "trace.csv").read_text()
    value = text.splitlines()[1].split(",")[3]
    with pytest.raises(InputError, match="not finite"):
        parse_trace(text.replace(value, "nan"), Path("t"))
    with pytest.raises(InputError, match="its columns are not"):
        parse_trace(text.replace("step,", "stop,"), Path("t"))


def test_a_clock_that_stands_still_ends_no_run(train, monkeypatch):
    monkeypatch.setattr("pyro_vae.training.state.time.perf_counter", lambda: 7.0)
    assert all(row.images_per_second > 0 for row in train("a").read_trace())


@pytest.mark.pictures
@pytest.mark.parametrize("broken", ["pyro_vae.pictures.draw", "pyro_vae.traces.trace_figure", "PIL.Image.open"])
def test_a_picture_that_cannot_be_drawn_is_a_note_and_the_run_goes_on(broken, train, monkeypatch, capsys):
    def fail(*given, **named):
        raise RuntimeError("no ink\nleft")

    monkeypatch.setattr(broken, fail)
    folder = train("a")
    told = capsys.readouterr().out
    assert told.count("note: a picture is missing, which changes nothing else: RuntimeError: no ink left") == 1
    assert folder.read_metrics()["finished"]


@pytest.mark.pictures
def test_a_run_in_a_folder_whose_name_is_no_mathematics_ends(train, capsys):
    folder = train("$\\frac$")
    assert "note:" not in capsys.readouterr().out
    assert (folder.figures / "trace.png").exists()


def test_a_refused_resume_leaves_no_file_of_events(train, monkeypatch):
    folder = train("a")
    state = folder.restore("last")
    folder.save("last", {**state, "image_shape": [1, 9, 9]})
    before = sorted(folder.path.rglob("*"))
    with pytest.raises(InputError):
        svi.main(["--resume", str(folder.path), "--epochs", "5"])
    assert sorted(folder.path.rglob("*")) == before
    folder.save("last", state)

    def refused(self):
        raise InputError("no")

    monkeypatch.setattr(Recorder, "__enter__", refused)
    with pytest.raises(InputError):
        svi.main(["--resume", str(folder.path), "--epochs", "5"])
    assert sorted(folder.path.rglob("*")) == before
