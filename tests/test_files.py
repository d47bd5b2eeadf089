"""Files are written whole, through no link and in UTF-8; a run folder with a link in it, or of another, is refused."""

import os
import subprocess
import sys

import numpy as np
import pytest

import pyro_vae
from pyro_vae import evaluate, files, svi, traces
from pyro_vae.compare.work import said_to
from pyro_vae.errors import InputError
from pyro_vae.runs import RunFolder

COMMANDS = {
    "load": lambda path: pyro_vae.load(path),
    "resume": lambda path: svi.main(["--resume", str(path), "--epochs", "4"]),
    "evaluate": lambda path: evaluate.main([str(path), "--only", "elbo", "--images", "9", "--device", "cpu"]),
    "traces": lambda path: traces.main([str(path)]),
}


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_the_place_of_a_link_and_the_link_is_not_followed(tmp_path):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "a").symlink_to(tmp_path / "victim")
    files.write_atomic(tmp_path / "a", "new")
    assert not (tmp_path / "a").is_symlink()
    assert (tmp_path / "a").read_text() == "new"
    assert (tmp_path / "victim").read_text() == "mine"


def test_a_link_that_waits_under_the_name_of_the_partial_file_is_not_written_through(tmp_path, monkeypatch):
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: "guessed")
    (tmp_path / "victim").write_text("mine")
    (tmp_path / ".a.guessed.partial").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        files.write_atomic(tmp_path / "a", "new")
    assert (tmp_path / "victim").read_text() == "mine"
    assert not (tmp_path / "a").exists()


def test_names_and_permissions_are_those_of_any_new_file(tmp_path):
    long = "ü" * 120 + ".png"
    files.write_atomic(tmp_path / long, b"x")
    (tmp_path / "plain").write_bytes(b"x")
    assert (tmp_path / long).stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_goes_to_the_end_of_a_file_goes_through_no_link(tmp_path):
    for line in ("one", "two"):
        with said_to(tmp_path / "log.txt"):
            print(line)
    assert (tmp_path / "log.txt").read_text() == "one\ntwo\n"
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "link.txt").symlink_to(tmp_path / "victim")
    with pytest.raises(InputError, match="symbolic link"), said_to(tmp_path / "link.txt"):
        print("theirs")
    assert (tmp_path / "victim").read_text() == "mine"


@pytest.mark.parametrize("name", ["metrics.json", "trace.csv", "figures", "figures/trace.png", "events.out.tfevents.1"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_link_in_a_run_folder_is_one_line_and_is_not_written_through(command, name, train, tmp_path):
    folder = train("a")
    target = tmp_path / "target"
    path = folder.path / name
    if name == "figures":
        path.rmdir()
        target.mkdir()
    elif path.exists():
        path.rename(target)
    else:
        target.write_text("mine")
    path.symlink_to(target)
    before = names_in(target) if target.is_dir() else target.read_bytes()
    files_before = names_in(folder.path)
    with pytest.raises(InputError, match=f"{name} is a symbolic link") as error:
        COMMANDS[command](folder.path)
    assert "\n" not in str(error.value)
    assert (names_in(target) if target.is_dir() else target.read_bytes()) == before
    assert names_in(folder.path) == files_before


def test_a_run_folder_may_be_reached_through_a_link(train, tmp_path):
    folder = train("a")
    (tmp_path / "latest").symlink_to(folder.path)
    svi.main(["--resume", str(tmp_path / "latest"), "--epochs", "4"])
    assert folder.read_trace()[-1].epoch == 4


def test_what_killed_writers_left_is_removed_by_the_next_one(train):
    folder = train("a")
    left = [
        folder.path / ".trace.csv.0123.partial",
        folder.path / ".metrics.json.partial",
        folder.figures / ".t.partial",
    ]
    for path in left:
        path.write_text("torn")
    svi.main(["--resume", str(folder.path), "--epochs", "4"])
    assert not any(path.exists() for path in left)
    for path in left:
        path.write_text("torn")
    COMMANDS["evaluate"](folder.path)
    # the trace is written by training alone, which may be going on
    assert [path.exists() for path in left] == [True, False, False]


def test_out_is_an_empty_folder_or_none(train, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "trace.csv").write_text("mine")
    with pytest.raises(InputError, match=r"other is not empty and is no run \(it has trace\.csv\)"):
        train("other")
    assert names_in(other) == ["trace.csv"]
    assert (other / "trace.csv").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    train("empty")
    # what a run leaves that was killed before it began
    begun = tmp_path / "begun"
    (begun / "figures").mkdir(parents=True)
    for name in (".training.lock", ".config.yaml.0123.partial"):
        (begun / name).write_text("")
    train("begun")
    assert not [name for name in names_in(begun) if name.startswith(".")]


NOT_ASCII = """
import locale, sys
locale.setlocale(locale.LC_ALL, "C")
assert locale.getencoding() != "UTF-8"
from pathlib import Path
import pyro_vae
from pyro_vae import evaluate, svi, traces
from pyro_vae.training.log import Log
Log.pictures = lambda *_: None
out = Path(sys.argv[2])
svi.main(["--data", sys.argv[1], "--out", str(out), "--batch-size", "16", "--epochs", "1", "--engine", "eager"])
evaluate.main([str(out), "--only", "elbo", "--device", "cpu", "--quiet", "true"])
traces.main([str(out)])
print(ascii(pyro_vae.load(out).config.data))
"""


def test_a_run_is_read_as_it_was_written_whatever_the_locale(tmp_path):
    data = tmp_path / "données-ü.npy"
    np.save(data, np.random.default_rng(0).random((40, 4, 4)))
    environment = {**os.environ, "PYTHONUTF8": "0", "LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "utf-8"}
    words = [sys.executable, "-c", NOT_ASCII, str(data), str(tmp_path / "run")]
    ended = subprocess.run(words, env=environment, capture_output=True, encoding="utf-8")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.endswith(f"{str(data)!a}\n")
    assert "données-ü" in (tmp_path / "run" / "config.yaml").read_text(encoding="utf-8") or "\\xE9" in (
        tmp_path / "run" / "config.yaml"
    ).read_text(encoding="utf-8")


def test_metrics_that_are_no_table_are_refused(tmp_path):
    for text in ("[]", "null", "3", '"a"'):
        (tmp_path / "metrics.json").write_text(text)
        with pytest.raises(InputError, match="not a table"):
            RunFolder(tmp_path).read_metrics()
