"""What a run refuses: one line that says what to do, exit code 2, and nothing half-written."""

import errno
import os
import pickle
import sys

import numpy as np
import pytest
from run_cases import trace

import pyro_vae
from pyro_vae import lr_schedules, runs, svi
from pyro_vae.cli import run_command
from pyro_vae.errors import InputError

BAD = {
    "no guide 'MeanFeild': nearest: MeanField": ["--guide", "MeanFeild"],
    "no data set 'digit': nearest are digits": ["--data", "digit"],
    "No module named 'nowhere'": ["--guide", "nowhere.Mine"],
    "OrderedDict": ["--guide", "collections.OrderedDict"],
    "no option --nonsense": ["--nonsense", "3"],
    "has no options, so no 'foo'": ["--guide.foo", "3"],
    "--epochs must be positive, not 0": ["--epochs", "0"],
    "--lr must be positive, not -1.0": ["--lr=-1"],
    "--lr takes a number, and not 'abc'": ["--lr", "abc"],
    "--device frog": ["--device", "frog"],
    "num_particles must be positive": ["--objective.num_particles", "0"],
    "warmup must lie between 0 and 1": ["--beta", "Linear", "--beta.warmup", "3"],
    "LinearGaussian is made of LinearDecoder": ["--model", "LinearGaussian"],
    "leaves no validation images": ["--validation", "0", "--patience", "3"],
    "250 validation images": ["--validation", "300"],
    "--seed must not be negative": ["--seed=-1"],
    "--engine cudagraph needs a CUDA device": ["--engine", "cudagraph", "--device", "cpu"],
    "training runs on cpu, cuda or mps, not on meta": ["--device", "meta"],
    "the sizes of layers must be positive": ["--decoder.hidden_dims", "[0]"],
    "at least one number of channels": ["--decoder", "ConvDecoder", "--decoder.channels", "[]"],
    "name the class too": ["--likelihood.squash", "false"],
    "no option --resum: nearest: --resume": ["--resum", "nowhere"],
    "Planar": ["--guide", "Planar", "--objective", "STL"],
    "it has no config.yaml": ["--resume", "."],
    "there is no such folder": ["--resume", "nowhere"],
    "File does not exist": ["--config", "nowhere.yaml"],
}


@pytest.mark.parametrize("said", BAD)
def test_bad_input_is_one_line_and_exit_code_2_and_nothing_written(said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = BAD[said] if "--resume" in BAD[said] else [*BAD[said], "--out", "run"]
    monkeypatch.setattr(sys, "argv", ["svi", *words])
    with pytest.raises(SystemExit) as exit_:
        run_command(svi.main)
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert said in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_no_cuda")
def test_cuda_without_a_device_is_refused(tmp_path):
    with pytest.raises(InputError, match="--device cuda"):
        svi.main(["--device", "cuda", "--out", str(tmp_path / "a")])
    assert not (tmp_path / "a").exists()


def test_pixels_that_the_likelihood_does_not_know_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(40, 4, 4)))
    for likelihood in ("Bernoulli", "ContinuousBernoulli", "Gaussian"):
        with pytest.raises(InputError, match=r"--likelihood\.squash false"):
            svi.main(["--data", str(tmp_path / "x.npy"), "--likelihood", likelihood, "--batch-size", "10"])


def test_a_folder_that_cannot_be_written_and_one_that_holds_a_run(train, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        train("file/run")
    folder = train("a")
    before = trace(folder)
    with pytest.raises(InputError, match="already holds a run"):
        train("a")
    assert trace(folder) == before


def test_a_full_disk_ends_the_run_in_one_line_and_tears_no_file(train, tmp_path, monkeypatch, capsys):
    folder = train("a")
    good = {path: path.read_bytes() for path in folder.path.glob("*.*") if "events" not in path.name}

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(runs.os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        train("b")
    monkeypatch.setattr(sys, "argv", ["svi", "--resume", str(folder.path), "--epochs", "5"])
    with pytest.raises(SystemExit) as exit_:
        run_command(svi.main)
    assert exit_.value.code == 2
    assert "No space left" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in good} == good
    assert not list(folder.path.glob(".*"))


def test_a_damaged_checkpoint_is_named(train):
    folder = train("a")
    path = folder.checkpoint("last")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"checkpoint.last.safetensors is damaged"):
        svi.main(["--resume", str(folder.path), "--epochs", "5"])


def test_a_checkpoint_of_another_shape_is_named(train):
    folder = train("a")
    text = folder.config_text()
    (folder.path / "config.yaml").write_text(text.replace("latent_dim: 3", "latent_dim: 4"))
    with pytest.raises(InputError, match=r"do not fit its config\.yaml"):
        pyro_vae.load(folder.path)
    state = folder.restore("last")
    (folder.path / "config.yaml").write_text(text)
    folder.save("last", {**state, "image_shape": [1, 9, 9]})
    with pytest.raises(InputError, match=r"images of shape \(1, 9, 9\)"):
        svi.main(["--resume", str(folder.path), "--epochs", "5"])


def test_a_checkpoint_from_elsewhere_never_runs_code(train, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    folder = train("a")
    folder.checkpoint("best").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match="is damaged"):
        pyro_vae.load(folder.path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("guide", ["MeanField", "Mixture"])  # Mixture draws a component, whose weights are NaN here
def test_nan_stops_the_run_with_step_and_site_and_keeps_the_last_good_checkpoint(guide, train, monkeypatch):
    folder = train("a", "--guide", guide)
    good = folder.checkpoint("last").read_bytes()
    monkeypatch.setitem(lr_schedules.OWN, "constant", lambda progress: 1e33)
    with pytest.raises(
        InputError, match=r"no longer finite: the ELBO at step 4\d, (site '[xz]'|the gradient).*last.safetensors"
    ):
        svi.main(["--resume", str(folder.path), "--epochs", "5"])
    assert folder.checkpoint("last").read_bytes() == good


def test_weights_that_the_last_step_broke_are_not_saved(train, tmp_path):
    """One step an epoch: what it did to the weights is in no record of the epoch."""
    with pytest.raises(InputError, match=r"no longer finite: .* after step 1; no epoch was finished"):
        train("a", "--batch-size", "1297", "--lr", "1e25", "--optimizer", "SGD", "--likelihood", "Bernoulli")
    assert not list((tmp_path / "a").glob("checkpoint.*"))
    assert not (tmp_path / "a" / "trace.csv").exists()
