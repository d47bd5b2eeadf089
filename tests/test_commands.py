"""The commands as they are typed: ``pyro-vae``, help, completion, the nearest name, and Ctrl-C."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from guides import GUIDES
from pyro_vae import __version__, evaluate, svi, traces
from pyro_vae.command_line import WIDTH
from pyro_vae.commands import COMMANDS
from pyro_vae.compare import command as compare
from pyro_vae.config import Config
from pyro_vae.errors import InputError
from pyro_vae.options import settings_of
from pyro_vae.run_help import HEADINGS, RARE


def said(*words, code=0):
    """What ``python -m pyro_vae WORDS`` prints."""
    done = subprocess.run([sys.executable, "-m", "pyro_vae", *words], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_pyro_vae_lists_its_commands_and_its_version():
    overview = said()
    assert all(f"  {name} " in overview and command.does in overview for name, command in COMMANDS.items())
    assert said("--version") == f"pyro_vae {__version__}\n"
    unknown = said("evalute", code=2)
    assert unknown.count("\n") == 1
    assert "nearest: evaluate" in unknown


def test_a_command_runs_by_its_name(tmp_path):
    assert said("traces", str(tmp_path), code=2) == f"error: {tmp_path} is not a run: it has no config.yaml\n"
    mistyped = ("--epoch", "3")
    assert said("svi", *mistyped, code=2) == said("train", *mistyped, code=2)
    script = shutil.which("pyro-vae", path=str(Path(sys.executable).parent))
    if script is None:
        pytest.skip("pyro_vae is not installed here, so there is no pyro-vae")
    assert subprocess.run([script, "--version"], capture_output=True, text=True).stdout.startswith("pyro_vae ")


def help_of(main, capsys, *words):
    with pytest.raises(SystemExit) as end:
        main(list(words))
    assert not end.value.code
    return capsys.readouterr().out


PYTHON = ("type:", "Callable", "Path |", "<class", "class_path", "Literal", "| null", "Namespace")


def test_help_of_train_fits_two_screens_in_plain_words(capsys):
    done = subprocess.run(  # a process of its own: help lists every subclass, those of other tests too
        [sys.executable, "-m", "pyro_vae.svi", "--help"],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "100"},
    )
    short = done.stdout
    lines = short.splitlines()
    assert len(lines) <= 100
    assert max(map(len, lines)) <= WIDTH
    assert not [word for word in PYTHON if word in short]
    assert not [line for line in lines if line.strip().startswith("--") and "_" in line.split()[0]]
    assert all(f"  {name} " in short for name in GUIDES)
    assert "example:" in short
    at = [lines.index(f"{title}:") for title in HEADINGS]
    assert at == sorted(at)
    whole = help_of(svi.main, capsys, "--help-all")
    assert all(f"--{name.replace('_', '-')} " in whole for name in Config.__dataclass_fields__)
    assert "--print-config" in whole
    assert "--guide.help" in whole
    assert "by default the environment variable PYRO_VAE_DATA" in " ".join(whole.split())
    assert not [word for word in PYTHON if word in whole]


def test_every_option_of_a_run_stands_under_one_heading():
    placed = [name for names in HEADINGS.values() for name in names]
    assert len(placed) == len(set(placed))
    assert set(Config.__dataclass_fields__) <= {*placed, *RARE}
    assert not {*placed} & {*RARE}


def test_help_of_a_guide_is_its_headline_and_its_options(capsys):
    of_one = help_of(svi.main, capsys, "--guide.help", "IAF")
    assert of_one.startswith("IAF: A diagonal Gaussian through T gated autoregressive steps.\n")
    assert "--guide.transforms NUMBER" in of_one


@pytest.mark.parametrize("main", [traces.main, evaluate.main])
def test_help_of_the_others_has_no_python_in_it(main, capsys):
    shown = help_of(main, capsys, "--help")
    assert not [word for word in PYTHON if word in shown]
    assert "example:" in shown


def test_help_of_compare_begins_with_what_compare_adds(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    shown = help_of(compare.main, capsys, "--help")
    options = [line.split()[0] for line in shown.splitlines() if line.strip().startswith("--")]
    assert options[:3] == ["--guides", "--seeds", "--baseline"]
    assert shown.count("\n") <= 70
    assert "--evaluate.annealing.chains" in help_of(compare.main, capsys, "--help-all")


def test_compare_without_anything_to_compare_asks_for_guides():
    with pytest.raises(InputError, match="needs guides: --guides MeanField,IAF"):
        compare.main(["--epochs", "1"])


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--epoch", "3"], "no option --epoch: nearest: --epochs"),
        (["--latentdim=3"], "no option --latentdim: nearest: --latent-dim"),
        (["runs/a"], "what is 'runs/a'"),
        (
            ["--guide", "IAF", "--guide.transform", "3"],
            "IAF has no option 'transform': nearest: transforms; known: trans",
        ),
        (["--encoder.hidden_dim", "[3]"], "MLPEncoder has no option 'hidden_dim': nearest: hidden_dims"),
        (["--guide.transforms", "3"], "MeanField has no options, so no 'transforms'"),
        (["--guide", "Meanfield"], "no guide 'Meanfield': nearest: MeanField"),
    ],
)
def test_a_mistyped_option_is_answered_with_the_nearest_one(words, answer):
    with pytest.raises(InputError) as error:
        svi.main(words)
    assert answer in str(error.value)
    assert "\n" not in str(error.value)
    assert "Namespace" not in str(error.value)


def test_a_mistyped_option_in_python_is_answered_with_the_nearest_one():
    with pytest.raises(InputError, match="no option 'lat_dim': nearest: latent_dim"):
        settings_of({"lat_dim": 3})
    with pytest.raises(InputError, match="IAF has no option 'transform': nearest: transforms"):
        settings_of({"guide": {"class_path": "IAF", "init_args": {"transform": 3}}})


def test_a_class_of_ones_own_without_types_is_told_to_have_them(tmp_path, monkeypatch):
    (tmp_path / "untyped_guide.py").write_text(
        "from guides import MeanField\n"
        "class Wide(MeanField):\n    def __init__(self, encoder, latent_dim, width):\n        pass\n"
        "class Plain(MeanField):\n    def __init__(self, encoder, latent_dim, width=3):\n"
        "        super().__init__(encoder, latent_dim)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"Wide: its parameter 'width' has no type.*write width: int"):
        settings_of({"guide": "untyped_guide.Wide"})
    assert "width: 3" in settings_of({"guide": "untyped_guide.Plain"}).text


def test_completion_knows_commands_options_and_guides():
    script = said("completion", "bash")
    assert all(word in script for word in (*COMMANDS, "--latent-dim", "--guides", "MeanField", "cudagraph"))
    if shutil.which("bash"):
        complete = (
            f"{script}\nCOMP_WORDS=(pyro-vae train --guide Mean); COMP_CWORD=3; _shtab_pyro_vae; echo ${{COMPREPLY[@]}}"
        )
        done = subprocess.run(["bash", "-c", complete], capture_output=True, text=True)
        assert done.stdout.split() == ["MeanField"], done.stderr
    assert said("completion", "fush", code=2).startswith("error: name one shell")


def interrupted_after(seconds, *words):
    """Exit code and words of a command that gets SIGINT so long after its first import of ours."""
    process = subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job would ignore it
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    return process.returncode, err


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="POSIX signals")
@pytest.mark.parametrize("seconds", [0.5, 1.2, 2.5])
@pytest.mark.parametrize(
    "words",
    [
        ["-m", "pyro_vae.svi", "--epochs", "9999"],
        ["-m", "pyro_vae", "train", "--epochs", "9999"],
        ["-m", "pyro_vae.compare", "--guides", "MeanField"],
    ],
    ids=" ".join,
)
def test_ctrl_c_is_one_line_while_the_libraries_are_imported(words, seconds, tmp_path):
    code, err = interrupted_after(seconds, *words, "--out", str(tmp_path / "run"))
    assert code == 130, err
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 1
    assert "interrupted" in err or "stopped" in err or not err  # compare says it on the standard output


def command_of(folder, body, *words):
    """What a command of this body said; a terminal's Ctrl-C reaches it."""
    (folder / "pyro-vae.py").write_text(
        "import os, time\nfrom pyro_vae.cli import run_command\nfrom pyro_vae.errors import InputError\n"
        f"def main(argv):\n    {body}\nrun_command(main)\n"
    )
    return subprocess.run(
        [sys.executable, "-m", "pyro-vae", *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(Path(__file__).parents[1])])},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        timeout=100,
    )


@pytest.mark.parametrize(
    "body",
    [
        "exec('import os, time; os.kill(os.getpid(), 2); time.sleep(9)')",
        "try: os.kill(os.getpid(), 2); time.sleep(9)\n    except BaseException: raise ImportError('numpy')",
        "try: os.kill(os.getpid(), 2); time.sleep(9)\n    except BaseException: pass\n    None.lacking",
        "try: os.kill(os.getpid(), 2); time.sleep(9)\n    except BaseException:\n"
        "        raise InputError('install it') from ImportError('numpy')",
    ],
    ids=["code made from a string", "another error in its place", "an error that follows from it", "advice on it"],
)
def test_ctrl_c_keeps_its_exit_code_in_what_libraries_do(tmp_path, body):
    """CPython would end a ``-m`` process by SIGINT for an ``exec``; libraries replace or swallow the interrupt."""
    done = command_of(tmp_path, body)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_a_run_ends_by_a_ctrl_c_that_a_library_has_swallowed(tmp_path):
    body = (
        "from pyro_vae import svi\n"
        "    try: os.kill(os.getpid(), 2); time.sleep(9)\n    except BaseException: pass\n    svi.main(argv)"
    )
    done = command_of(tmp_path, body, "--epochs", "9999", "--engine", "eager", "--out", str(tmp_path / "run"))
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("enabled", [True, False])
def test_a_command_looks_for_garbage_only_after_its_imports_and_as_its_caller_did(tmp_path, enabled):
    (tmp_path / "pyro-vae.py").write_text(
        f"import gc\n{'' if enabled else 'gc.disable()'}\nfrom pyro_vae.cli import run_command\n"
        "print(gc.isenabled())\nrun_command(lambda argv: print(gc.isenabled()))\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run([sys.executable, str(tmp_path / "pyro-vae.py")], capture_output=True, text=True, env=env)
    assert done.stdout.split() == ["False", str(enabled)], done.stderr


def test_a_second_ctrl_c_ends_at_once():
    """However often it is pressed while a command ends, there is no traceback."""
    code = (
        "import os, signal, sys, time\n"
        "sys.argv = ['pyro-vae']\n"
        "from pyro_vae.cli import run_command\n"
        "def main(argv):\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT); time.sleep(9)\n"
        "    finally:\n"
        "        print('ending', flush=True); os.kill(os.getpid(), signal.SIGINT); time.sleep(9); print('never')\n"
        "run_command(main)\n"
    )
    default = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, **default)
    assert (done.returncode, done.stdout, done.stderr) == (130, "ending\n", "interrupted\n")
