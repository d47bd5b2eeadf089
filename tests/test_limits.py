"""What the machine cannot hold is one line; a bug keeps its traceback; a closed pipe is quiet."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from pyro_vae import limits, svi
from pyro_vae.cli import run_command
from pyro_vae.distributed import started
from pyro_vae.errors import InputError


def raised(work) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011 (each raises another)
        work()
    return caught.value


def endless():
    return endless()


@pytest.mark.parametrize(
    "work",
    [
        lambda: torch.empty(2**55),
        lambda: torch.empty(2**40, 2**40),
        lambda: torch.empty(10**20),
        lambda: torch.tensor(10**30),
        lambda: np.empty(2**55),
        lambda: np.empty((2**40, 2**40)),
        lambda: int(float("inf")),
        lambda: (1 << 80).to_bytes(8, "little"),
        lambda: endless(),
    ],
)
def test_memory_whole_numbers_and_recursion_are_told_in_one_line(work):
    line = limits.in_one_line(raised(work))
    assert line is not None
    assert "\n" not in line


@pytest.mark.parametrize(
    "error", [KeyError("x"), RuntimeError("shape"), TypeError("x"), ValueError("x"), AssertionError()]
)
def test_other_errors_are_bugs_and_keep_their_traceback(error):
    assert limits.in_one_line(error) is None

    def main(argv):
        raise error

    with pytest.raises(type(error)):
        run_command(main, [])


def test_a_developer_sees_the_traceback_of_every_error(monkeypatch, capsys):
    def main(argv):
        raise MemoryError

    with pytest.raises(SystemExit, match="2"):
        run_command(main, [])
    assert capsys.readouterr().err.startswith("error: out of memory: ask for less")
    monkeypatch.setenv("PYRO_VAE_TRACEBACK", "1")
    with pytest.raises(SystemExit, match="2"):
        run_command(main, [])
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--latent-dim", "99999999999999999999"],
        ["--latent-dim", "9223372036854775807"],
        ["--encoder.hidden_dims", "[10000000000]"],
        ["--seed", "18446744073709551616"],
        ["--eval-samples", "99999999999999999999"],
        ["--eval-samples", "1000000000000"],
        ["--final-samples", "1000000000000"],
    ],
)
def test_a_request_beyond_the_machine_is_one_line_and_leaves_nothing(words, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        run_command(svi.main, [*words, "--out", str(tmp_path / "a"), "--device", "cpu"])
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert not (tmp_path / "a").exists()


@pytest.mark.skipif(os.name != "posix", reason="pipes of a shell")
def test_a_reader_that_closes_the_pipe_ends_the_command_quietly(tmp_path):
    code = "import sys; from pyro_vae.cli import run_command; from pyro_vae.terminal import PlainConsole\n" + (
        "def main(argv):\n    for i in range(100_000): {}\nrun_command(main, [])"
    )
    for line in ("print('x' * 80)", "PlainConsole().print('x' * 80)"):
        script = f'{sys.executable} -c "$CODE" | head -1 > /dev/null; echo ${{PIPESTATUS[0]}}'
        done = subprocess.run(
            ["bash", "-c", script], env={**os.environ, "CODE": code.format(line)}, capture_output=True, text=True
        )
        assert (done.stdout, done.stderr) == ("0\n", "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_an_output_that_is_full_is_one_line():
    code = "from pyro_vae.cli import run_command; run_command(lambda argv: print('x'), [])"
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (2, "error: No space left on device\n")


def test_letters_that_the_locale_lacks_are_written_escaped():
    code = "from pyro_vae.cli import run_command; run_command(lambda argv: print('\\u2581\\xe9'), [])"
    env = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\\u2581\\xe9\n", "")


@pytest.mark.parametrize(("size", "rank"), [("abc", "0"), ("2", "x"), ("2", "2"), ("-2", "0"), ("1e3", "0")])
def test_an_environment_that_torchrun_did_not_set_is_one_line(size, rank, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", size)
    monkeypatch.setenv("RANK", rank)
    with pytest.raises(InputError, match="are not what torchrun sets"):
        started()
    with pytest.raises(SystemExit, match="2"):
        run_command(svi.main, ["--epochs", "1"])
    assert capsys.readouterr().err.count("\n") == 1


def test_an_environment_without_torchrun_is_one_process(monkeypatch):
    for size, rank in (("", ""), ("1", "0"), ("abc", "")):
        monkeypatch.setenv("WORLD_SIZE", size)
        monkeypatch.setenv("RANK", rank)
        assert started().size == 1
