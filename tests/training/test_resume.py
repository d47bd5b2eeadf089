"""A run that was interrupted goes on to the same numbers."""

import numpy as np
import pytest
import torch
import yaml
from run_cases import CLOCK, trace

import pyro_vae
from pyro_vae import svi
from pyro_vae.errors import InputError
from pyro_vae.runs import RunFolder
from pyro_vae.training.recorder import Recorder


class Stop(Exception):
    """What stands for a machine that goes away."""


@pytest.mark.parametrize(("objective", "ema"), [("Trace_ELBO", "0"), ("TraceMeanField_ELBO", "0.3")])
def test_a_resumed_run_has_the_trace_of_one_never_interrupted(train, tmp_path, monkeypatch, objective, ema):
    flags = ("--epochs", "6", "--objective", objective, "--lr-schedule", "cosine", "--beta", "Linear")
    flags += ("--ema-decay", ema)
    whole = train("whole", *flags)
    save, saved = RunFolder.save, []

    def stop_in_the_fourth_epoch(self, which, state):
        saved.append(which)
        if saved.count("last") == 4:
            raise Stop
        save(self, which, state)

    monkeypatch.setattr(RunFolder, "save", stop_in_the_fourth_epoch)
    with pytest.raises(Stop):
        train("parts", *flags)
    monkeypatch.undo()
    parts = RunFolder(tmp_path / "parts")
    assert len(trace(parts)) == 12, "the fourth epoch is in the trace, and not in the checkpoint"
    svi.main(["--resume", str(parts.path)])
    assert trace(parts) == trace(whole)
    before, after = whole.restore("last"), parts.restore("last")
    for part in ("model", "guide"):
        for name, weight in before[part].items():
            assert torch.equal(weight, after[part][name]), name


def test_resume_can_go_on_for_longer_and_changes_nothing_else(train):
    folder = train("a")
    svi.main(["--resume", str(folder.path), "--epochs", "4"])
    assert trace(folder)[-1]["epoch"] == "4"
    assert yaml.safe_load(folder.config_text())["epochs"] == 4
    with pytest.raises(InputError, match="only --epochs and --device"):
        svi.main(["--resume", str(folder.path), "--lr", "0.1"])


@pytest.mark.parametrize("options", [{"preset": "fast"}, {"precision": "auto"}, {"likelihood": "Categorical"}])
def test_what_options_leave_to_the_data_or_the_machine_is_the_runs_own_the_next_time(tmp_path, options):
    small = {"epochs": 1, "latent_dim": 2, "final_samples": 2, "engine": "eager", "quiet": True}
    first = pyro_vae.train_or_resume(tmp_path / "a", **small, **options)
    again = pyro_vae.train_or_resume(tmp_path / "a", **small, **options)
    assert first.folder.path == again.folder.path
    with pytest.raises(InputError, match=r"lr is [0-9.]+, not 0\.5"):
        pyro_vae.train_or_resume(tmp_path / "a", **small, **{**options, "lr": 0.5})


def test_train_or_resume_begins_a_run_goes_on_with_it_and_leaves_it_when_it_is_finished(tmp_path, monkeypatch):
    small = {"epochs": 2, "latent_dim": 2, "final_samples": 2, "engine": "eager"}
    whole = pyro_vae.train_or_resume(tmp_path / "whole", quiet=True, **small).folder
    before = (whole.path / "metrics.json").stat().st_mtime_ns

    def interrupt(*arguments, **named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "update_metrics", interrupt)
        with pytest.raises(KeyboardInterrupt):
            pyro_vae.train_or_resume(tmp_path / "cut", quiet=True, **small)
    cut = pyro_vae.train_or_resume(tmp_path / "cut", quiet=True, **small).folder
    assert cut.read_metrics()["finished"]
    traces = [[{k: v for k, v in row.items() if k not in CLOCK} for row in trace(folder)] for folder in (whole, cut)]
    assert traces[0] == traces[1]

    pyro_vae.train_or_resume(tmp_path / "whole", quiet=True, **small)
    assert (whole.path / "metrics.json").stat().st_mtime_ns == before
    wide = {"class_path": "MLPEncoder", "init_args": {"hidden_dims": [7]}}
    for other, words in [
        ({"epochs": 3}, r"\(epochs is 2, not 3\): choose another folder"),
        ({"guide": "FullRank"}, r"\(guide is MeanField, not FullRank\)"),
        ({"likelihood": "Bernoulli"}, r"\(likelihood is Gaussian, not Bernoulli\)"),
        ({"encoder": wide}, r"\(encoder.hidden_dims is None, not \[7\]\)"),
    ]:
        with pytest.raises(InputError, match=f"whole was trained with other options {words}"):
            pyro_vae.train_or_resume(tmp_path / "whole", quiet=True, **{**small, **other})
    there = {"likelihood": "Gaussian", "guide": "MeanField", "device": "cpu"}
    pyro_vae.train_or_resume(tmp_path / "whole", quiet=True, **{**small, **there})


def test_resume_refuses_what_would_make_config_yaml_lie(train, tmp_path):
    folder = train("a")
    with pytest.raises(InputError, match="3 epochs behind it"):
        svi.main(["--resume", str(folder.path), "--epochs", "2"])
    with pytest.raises(InputError, match="cannot be combined with --out"):
        svi.main(["--resume", str(folder.path), "--out", str(tmp_path / "b")])
    cosine = train("c", "--lr-schedule", "cosine")
    with pytest.raises(InputError, match="follows a schedule"):
        svi.main(["--resume", str(cosine.path), "--epochs", "9"])
    (folder.path / "trace.csv").unlink()
    with pytest.raises(InputError, match="does not reach epoch 3"):
        svi.main(["--resume", str(folder.path)])


def test_a_run_goes_on_from_any_working_folder(train, tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((60, 4, 4)))
    monkeypatch.chdir(tmp_path)
    folder = train("a", "--data", "x.npy", "--batch-size", "20")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    svi.main(["--resume", str(folder.path), "--epochs", "4"])
    assert trace(folder)[-1]["epoch"] == "4"


@pytest.mark.parametrize("making_a_class", [False, True])  # as in an import, where Python 3.11 wraps what is raised
def test_interrupted_it_says_how_to_go_on(making_a_class, train, tmp_path, monkeypatch, capsys):
    class Name:
        def __set_name__(self, owner, name):
            raise KeyboardInterrupt

    def interrupt(*arguments, **named):
        if making_a_class:
            type("Made", (), {"name": Name()})
        raise KeyboardInterrupt

    monkeypatch.setattr(Recorder, "check_finite", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train("a")
    assert f"--resume {tmp_path / 'a'}" in capsys.readouterr().err
    monkeypatch.undo()
    svi.main(["--resume", str(tmp_path / "a")])
    assert len(trace(RunFolder(tmp_path / "a"))) == 9
