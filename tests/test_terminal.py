"""Names that somebody else chose cannot steer the terminal; a file that hides a package of this project is one line."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

from pyro_vae import svi, traces
from pyro_vae.cli import run_command
from pyro_vae.errors import InputError
from pyro_vae.live import live_table
from pyro_vae.terminal import PlainConsole, printable
from pyro_vae.training.progress import ProgressBar

ROOT = Path(__file__).parents[1]
NASTY = "a\x1b[31mred\x1b]0;title\x07\nb\x9b5m\u202eevil"


def test_what_steers_a_terminal_is_written_out():
    assert printable("a\x1b[31m\n\u202e\x9b\udce9") == "a\\x1b[31m\\n\\u202e\\x9b\\udce9"
    assert printable("é 한국어 [bold] \\ π") == "é 한국어 [bold] \\ π"
    assert printable("a\nb\r", keep="\n") == "a\nb\\r"


def test_a_console_writes_texts_and_tables_without_them():
    table = Table(title=NASTY)
    table.add_column(NASTY)
    table.add_row(NASTY)
    for shown in (NASTY, table):
        console = PlainConsole(file=io.StringIO(), force_terminal=False, width=200)
        console.print(shown)
        console.print(shown, markup=False, soft_wrap=True)
        text = console.file.getvalue()
        assert "evil" in text
        assert not set(text) & set("\x1b\x07\x9b\u202e")


def test_an_error_is_one_line_that_steers_nothing(monkeypatch, capsys):
    def main(argv):
        raise InputError(f"{NASTY} is no run")

    monkeypatch.setattr(sys, "argv", ["svi"])
    with pytest.raises(SystemExit, match="2"):
        run_command(main)
    told = capsys.readouterr().err
    assert told == f"error: {printable(NASTY)} is no run\n"
    assert "\x1b" not in told


def test_a_run_folder_of_any_name_is_shown_escaped(train, tmp_path, capsys):
    folder = train(NASTY)
    traces.main([str(folder.path), "--save", str(tmp_path / "t.png")])
    told = capsys.readouterr()
    text = told.out + told.err
    assert "evil" in text
    assert not set(text) & set("\x1b\x07\x9b\u202e")
    assert f"run folder: {printable(str(folder.path))}\n" in text
    console = PlainConsole(file=io.StringIO(), width=300)
    console.print(live_table([folder.path, tmp_path / NASTY]))
    assert not set(console.file.getvalue()) & set("\x1b\x07\x9b\u202e")
    with pytest.raises(InputError) as refused:
        svi.main(["--out", str(folder.path)])
    assert "--resume" in str(refused.value)


def test_a_progress_bar_says_lines_and_not_colours_of_a_name(capsys):
    ProgressBar(1, 0, 1).say(f"two\nlines of {NASTY}")
    text = capsys.readouterr().out
    assert text.startswith("two\nlines of a\\x1b[31m")


@pytest.mark.parametrize("name", ["guides.py", "guides/__init__.py"])
@pytest.mark.parametrize("command", ["svi", "traces", "evaluate", "compare"])
def test_a_guides_of_the_users_own_is_one_clear_line(tmp_path, command, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("open('MARK', 'w')\n")
    path = {"PYTHONPATH": str(ROOT)}
    run = [sys.executable, "-m", f"pyro_vae.{command}", "x"]
    done = subprocess.run(run, cwd=tmp_path, env=os.environ | path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path / name} hides the package `guides` of pyro_vae: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "MARK").exists()


def test_from_python_a_guides_of_the_users_own_is_named_too(tmp_path):
    (tmp_path / "guides.py").write_text("")
    run = [sys.executable, "-c", "import pyro_vae"]
    done = subprocess.run(run, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"pyro_vae.errors.InputError: {tmp_path / 'guides.py'} hides the package")


PLUGS = """
from guides import MLPEncoder
from pyro_vae.models import MLPDecoder
from pyro_vae.objectives import Trace_ELBO
from pyro_vae.schedules import Constant

class PlugEncoder(MLPEncoder): pass
class PlugDecoder(MLPDecoder): pass
class PlugObjective(Trace_ELBO): pass
class PlugSchedule(Constant): pass
class Undeclared(Constant): pass
a_function = Constant
"""
DECLARED = """
[pyro_vae.encoders]
PlugEncoder = other_package.plugs:PlugEncoder
[pyro_vae.decoders]
PlugDecoder = other_package.plugs:PlugDecoder
[pyro_vae.objectives]
PlugObjective = other_package.plugs:PlugObjective
[pyro_vae.schedules]
PlugSchedule = other_package.plugs:PlugSchedule
"""
SCRIPT = """
import sys
from pyro_vae.errors import InputError
from pyro_vae.options import settings_from
for option, name in dict(encoder="Encoder", decoder="Decoder", objective="Objective", beta="Schedule").items():
    for way in (f"Plug{name}", f"other_package.plugs.Plug{name}", "{class_path: other_package.plugs.Plug%s}" % name):
        try:
            print(name in settings_from(f"{option}: {way}").text)
        except InputError as error:
            print(str(error)[:30] if "other_package" not in way else "refused: " + str("--trust" in str(error)))
try:
    settings_from("beta: other_package.plugs.Undeclared")
except InputError as error:
    print("undeclared", "--trust" in str(error))
"""


def test_a_file_may_name_the_plugs_that_installed_packages_declare(tmp_path):
    """One group for each kind; a declaration that lies in the working directory is none."""
    site = tmp_path / "site"
    (site / "other_package").mkdir(parents=True)
    (site / "other_package" / "__init__.py").write_text("")
    (site / "other_package" / "plugs.py").write_text(PLUGS)
    info = site / "other_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other_package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(DECLARED)
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    run = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(run, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout.split("\n")[:-1] == ["True"] * 12 + ["undeclared True"], done.stderr
    done = subprocess.run(run, cwd=site, env=env, capture_output=True, text=True)
    assert "True\n" not in done.stdout.replace("refused: True", "").replace("undeclared True", "")
    assert done.stdout.count("refused: True") == 8
