"""The command: which runs it shows, what it refuses in one line, and its end by Ctrl-C."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pyro_vae
from pyro_vae.config import Config
from pyro_vae.errors import InputError
from pyro_vae.explore import command, server
from pyro_vae.explore.opened import refuse

SMALL = {"epochs": 1, "final_samples": 2, "engine": "eager", "device": "cpu", "quiet": True}


def refused(*runs):
    """The one line that refuses runs."""
    with pytest.raises(InputError) as error:
        command.exhibited([Path(run) for run in runs], device="cpu")
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "ConditionalVAE"}, "ConditionalVAE, which decodes no image from z alone"),
        ({"latent_dim": 1}, "one latent dimension"),
    ],
)
def test_a_run_without_a_plane_of_images_is_refused(tmp_path, options, words):
    pyro_vae.train(out=str(tmp_path / "run"), **options, **SMALL)
    assert words in refused(tmp_path / "run")


def test_data_in_memory_and_images_of_two_channels_are_refused(tmp_path):
    images = np.random.default_rng(0).random((40, 2, 4, 4)).astype(np.float32)
    pyro_vae.train(data=images, layout="channels_first", out=str(tmp_path / "memory"), **SMALL)
    assert "of 2 x 4 x 4, and explore shows images of 1 or 3 channels" in refused(tmp_path / "memory")
    pyro_vae.train(data=images[:, 0], out=str(tmp_path / "gray"), **SMALL)
    assert "trained on data in memory" in refused(tmp_path / "gray")


def test_a_run_of_a_program_is_refused(runs):
    run = pyro_vae.load(runs[0])
    with pytest.raises(InputError, match="is a run by --program, whose images explore does not know"):
        refuse(run._replace(config=Config(program="my_module:make")))


def test_runs_of_two_data_sets_are_refused(tmp_path, runs):
    np.save(tmp_path / "other.npy", np.random.default_rng(0).random((40, 1, 8, 8)).astype(np.float32))
    pyro_vae.train(data=str(tmp_path / "other.npy"), out=str(tmp_path / "run"), **SMALL)
    assert "explore runs of one data set together" in refused(runs[0], tmp_path / "run")


def test_without_the_libraries_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs starlette and uvicorn: pip install 'pyro_vae\[explore\]'"):
        command.main(["anything"])


def test_a_port_that_is_taken_is_one_line():
    with socket.socket() as taken:
        taken.bind((server.LOOPBACK, 0))
        taken.listen()
        with pytest.raises(InputError, match=r"^--port \d+ cannot be had"):
            server.listening(taken.getsockname()[1])
    with pytest.raises(InputError, match="--port 70000"):
        server.listening(70000)


def test_without_a_run_it_trains_the_digits_once(monkeypatch, capsys):
    whole = pyro_vae.train_or_resume
    monkeypatch.setattr("pyro_vae.lifecycle.train_or_resume", lambda *a, **k: whole(*a, **{**k, **SMALL}))
    folder = command.first_run()
    assert capsys.readouterr().out.count("\n") == 1
    assert pyro_vae.load(folder).model.latent_dim == 2
    assert command.first_run() == folder
    assert "explore shows the digits" in capsys.readouterr().out


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_it_prints_its_address_and_ctrl_c_ends_it_in_one_line(runs):
    words = [sys.executable, "-m", "pyro_vae", "explore", str(runs[0]), "--no-browser"]
    default = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **default)
    assert process.stdout.readline().startswith("explore: http://127.0.0.1:")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "stopped\n")
