"""A run from its command to its folder: the loop, what it leaves, and what it refuses."""

import csv
import errno
import json
import os
import pickle
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

import pyro_vae
from guides import GUIDES
from pyro_vae import lr_schedules, runs, svi
from pyro_vae.build import build, sees_binary
from pyro_vae.cli import run_command
from pyro_vae.data import load_data
from pyro_vae.engine import StepRecord
from pyro_vae.errors import InputError
from pyro_vae.options import settings_of
from pyro_vae.runs import RunFolder
from pyro_vae.trace import COLUMNS
from pyro_vae.training.prepare import prepare
from pyro_vae.training.progress import ProgressBar
from pyro_vae.training.recorder import Recorder

CLOCK = ("seconds", "images_per_second")


def trace(folder: RunFolder) -> list[dict[str, str]]:
    """The rows of trace.csv as text, without the two columns that tell the time."""
    with open(folder.path / "trace.csv", newline="") as file:
        return [{k: v for k, v in row.items() if k not in CLOCK} for row in csv.DictReader(file)]


def test_a_run_leaves_every_file_of_the_design(train):
    folder = train("a")
    names = {path.name for path in folder.path.iterdir()}
    expected = {"config.yaml", "trace.csv", "metrics.json", "figures"}
    assert expected | {"checkpoint.best.safetensors", "checkpoint.last.safetensors"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    with open(folder.path / "trace.csv", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert tuple(reader.fieldnames or ()) == COLUMNS
    assert [(row["epoch"], row["split"]) for row in rows] == [
        (str(epoch), split) for epoch in (1, 2, 3) for split in ("train", "validation", "test")
    ]
    assert [row["step"] for row in rows[::3]] == ["13", "26", "39"]  # ceil(1297 / 100) steps an epoch
    for row in rows:
        assert float(row["elbo"]) == pytest.approx(float(row["log_likelihood"]) - float(row["kl"]), abs=1e-9)
    elbos = [float(row["elbo"]) for row in rows if row["split"] == "test"]
    assert elbos[-1] > elbos[0] + 5, "three epochs raise the test ELBO of the digits by far more than 5 nats"
    metrics = json.loads((folder.path / "metrics.json").read_text())
    assert metrics["finished"]
    assert metrics["test_elbo"]["samples"] == 5
    assert metrics["test_elbo"]["images"] == 250


def test_the_test_elbo_of_the_metrics_is_that_of_the_best_weights(train):
    folder = train("a")
    run = pyro_vae.load(folder.path)
    data = load_data("digits")
    torch.manual_seed(123)  # another seed than the metrics', which the estimate must not depend on by much
    x = torch.cat(list(data.test.chunks(250)))
    z = run.guide.posterior(run.guide.amortize(x)).rsample((400,))
    lam = run.guide.amortize(x)
    elbo = (run.model.log_joint(x, z) - run.guide.posterior(lam).log_prob(z)).mean(0)
    reported = folder.read_metrics()["test_elbo"]
    assert elbo.mean().item() == pytest.approx(reported["value"], abs=0.5)  # 5 samples there: noise of about 0.1
    assert elbo.std().item() / 250**0.5 == pytest.approx(reported["standard_error"], rel=0.05)


@pytest.mark.pictures
def test_pictures_show_what_they_say(train):
    from PIL import Image

    folder = train("flat", "--latent-dim", "2")
    names = {path.name for path in folder.figures.iterdir()}
    pictures = {"reconstructions", "prior_samples", "interpolation", "latent", "manifold", "trace"}
    assert names == {f"{name}.png" for name in pictures}
    for path in folder.figures.iterdir():
        pixels = np.asarray(Image.open(path).convert("L"))
        assert pixels.std() > 10, f"{path.name} is blank"
    assert not (train("deep").figures / "manifold.png").exists()


def test_config_yaml_repeats_the_run(train, tmp_path):
    folder = train("a", "--seed", "3")
    svi.main(["--config", str(folder.path / "config.yaml"), "--out", str(tmp_path / "again")])
    again = RunFolder(tmp_path / "again")
    assert trace(again) == trace(folder)
    assert again.config_text() == folder.config_text()
    assert trace(train("other", "--seed", "4")) != trace(folder)


class Stop(Exception):
    """What stands for a machine that goes away."""


@pytest.mark.parametrize("objective", ["Trace_ELBO", "TraceMeanField_ELBO"])
def test_a_resumed_run_has_the_trace_of_one_never_interrupted(train, tmp_path, monkeypatch, objective):
    flags = ("--epochs", "6", "--objective", objective, "--lr-schedule", "cosine", "--beta", "Linear")
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


def test_another_guide_changes_neither_the_decoder_nor_the_batches():
    data = load_data("digits")
    starts = {}
    for guide in GUIDES:
        config = settings_of({"guide": guide, "likelihood": "Bernoulli", "latent_dim": 4}).config
        starts[guide] = build(config, data.image_shape, data.mean_image)[0].state_dict()
    first = starts.pop("MeanField")
    for guide, weights in starts.items():
        for name, weight in first.items():
            assert torch.equal(weight, weights[name]), (guide, name)

    class Spy:
        def __init__(self):
            self.seen, self.average, self.engine = [], None, "eager"
            self.program = SimpleNamespace(elbo=SimpleNamespace())

        def step_record(self, x):
            torch.randn(7)  # what the guide's sampling does to torch's own generator
            self.seen.append(x)
            return StepRecord(*torch.zeros(4))

    batches = []
    for noise in (0, 99):
        config = settings_of({"guide": "MeanField", "likelihood": "Bernoulli"}).config
        torch.manual_seed(noise)
        spy, prepared = Spy(), prepare(config, data)
        svi.run_epoch(spy, prepared, prepared.batches, 2, SimpleNamespace(step=lambda engine: None))
        batches.append(torch.cat(spy.seen))
    assert torch.equal(*batches)
    assert len(batches[0]) == 1297


def test_two_fits_in_one_process_leave_each_other_alone(train):
    alone = trace(train("alone", "--guide", "FullRank"))
    train("before")
    assert trace(train("after", "--guide", "FullRank")) == alone


def test_training_does_not_disturb_the_random_numbers_of_its_caller(train):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train("a")
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("flags", "progress", "beta"),
    [
        (["--beta", "Constant", "--beta.beta", "4"], 1, 4.0),
        (["--beta", "Linear", "--beta.warmup", "1.0"], 1, 1.0),
        (["--beta", "Cyclical", "--beta.cycles", "1", "--beta.rising", "1.0"], 0, 12 / 38),
    ],
)
def test_the_kl_weight_that_was_used_is_in_the_trace(train, flags, progress, beta):
    rows = trace(train("a", *flags))
    assert float(rows[-1 if progress else 0]["beta"]) == pytest.approx(beta)


def test_learning_rate_schedule_and_clipping_are_at_work(train):
    rows = trace(train("a", "--lr-schedule", "linear", "--lr", "0.002"))
    assert float(rows[0]["lr"]) == pytest.approx(0.002 * (1 - 12 / 38))
    assert float(rows[-1]["lr"]) == 0
    start, end = (float(rows[i]["elbo"]) for i in (0, -3))
    assert end > start + 5
    # With plain gradient steps of length at most lr * clip_norm, 39 steps move next to nothing.
    clipped = trace(train("b", "--clip-norm", "0.001", "--optimizer", "SGD"))
    assert abs(float(clipped[0]["elbo"]) - float(clipped[-3]["elbo"])) < 1
    assert float(clipped[0]["grad_norm"]) > 1, "the norm that is recorded is the one before clipping"


def test_weight_decay_shrinks_the_weights(train):
    def size(folder):
        return sum(w.square().sum().item() for w in folder.restore("last")["guide"].values())

    assert size(train("decayed", "--weight-decay", "1", "--optimizer", "AdamW", "--lr", "0.01")) < 0.9 * size(
        train("free", "--optimizer", "AdamW", "--lr", "0.01")
    )


def test_patience_ends_a_run_that_no_longer_gains_and_keeps_the_best(train):
    folder = train("a", "--epochs", "40", "--lr", "0.3", "--optimizer", "SGD", "--clip-norm", "1", "--patience", "2")
    rows = trace(folder)
    validation = [float(row["elbo"]) for row in rows if row["split"] == "validation"]
    best = int(np.argmax(validation)) + 1
    assert len(validation) == best + 2 < 40
    assert folder.read_metrics()["test_elbo"]["epoch"] == best
    assert folder.restore("best")["state"]["epoch"] == best


def test_load_gives_back_what_was_trained(train):
    folder = train("a", "--guide", "FullRank", "--likelihood", "Bernoulli")
    run = pyro_vae.load(folder.path, "last")
    assert type(run.guide) is GUIDES["FullRank"]
    assert type(run.model.likelihood).__name__ == "Bernoulli"
    assert run.config.latent_dim == 3
    assert not run.model.training
    weights = folder.restore("last")
    for name, weight in run.guide.state_dict().items():
        assert torch.equal(weight, weights["guide"][name])


def test_python_has_the_options_of_the_command(tmp_path):
    run = pyro_vae.train(
        epochs=1, guide={"class_path": "FullRank"}, latent_dim=2, final_samples=2, out=tmp_path / "a", engine="eager"
    )
    assert type(run.guide).__name__ == "FullRank"
    assert run.folder.path == tmp_path / "a"


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


def test_a_quiet_run_prints_nothing_and_is_a_run_all_the_same(tmp_path, capfd):
    run = pyro_vae.train(quiet=True, epochs=1, latent_dim=2, final_samples=2, out=tmp_path / "a", engine="eager")
    assert capfd.readouterr() == ("", "")
    assert run.folder.read_metrics()["finished"]
    assert not list(run.folder.path.glob("events*"))


def test_in_a_notebook_too_a_run_prints_plain_lines_and_a_quiet_one_none(monkeypatch, capsys):
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    for quiet in (True, False):
        with ProgressBar(1, 0, 13, quiet) as watch:
            watch.say("a line")
    assert capsys.readouterr().out == "a line\n"


def test_a_guide_of_the_user_s_own_trains_by_its_import_path(tmp_path):
    (tmp_path / "my_guides.py").write_text(
        "from pyro.distributions import Normal\n"
        "from guides import Encoder, Guide\n"
        "class Mine(Guide):\n"
        "    def __init__(self, encoder: Encoder, latent_dim: int, width: float = 0.5):\n"
        "        super().__init__(encoder, latent_dim, num_parameters=latent_dim)\n"
        "        self.width = width\n"
        "    def posterior(self, lam):\n"
        "        return Normal(lam, self.width).to_event(1)\n"
    )
    command = [sys.executable, "-m", "pyro_vae.svi", "--guide", "my_guides.Mine", "--guide.width", "0.3"]
    small = ["--epochs", "1", "--out", "run", "--engine", "eager"]
    done = subprocess.run([*command, *small], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["guide"]["init_args"]["width"] == 0.3
    assert "RuntimeWarning" not in done.stderr
    # The guide's code has gone: one clear line.
    (tmp_path / "my_guides.py").unlink()
    with pytest.raises(InputError, match="my_guides"):
        pyro_vae.load(tmp_path / "run")


BAD = {
    "no guide 'MeanFeild': nearest: MeanField": ["--guide", "MeanFeild"],
    "no data set 'digit': nearest are digits": ["--data", "digit"],
    "No module named 'nowhere'": ["--guide", "nowhere.Mine"],
    "OrderedDict": ["--guide", "collections.OrderedDict"],
    "no option --nonsense": ["--nonsense", "3"],
    "has no options, so no 'foo'": ["--guide.foo", "3"],
    "--epochs must be positive, not 0": ["--epochs", "0"],
    "--lr must be positive, not -1.0": ["--lr=-1"],
    "--lr: Expected a <class 'float'>": ["--lr", "abc"],
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


def test_plain_lines_where_there_is_no_terminal(train, capsys):
    train("a")
    said = capsys.readouterr().out
    assert "epoch 3/3" in said
    assert "images/s" in said
    assert "nats per image" in said
    assert "python -m pyro_vae.traces" in said
    assert "\x1b" not in said


def test_binary_likelihoods_see_binary_data_unless_told_otherwise():
    for likelihood, binarize, expected in (
        ("Bernoulli", "auto", True),
        ("Bernoulli", "none", False),
        ("Gaussian", "auto", False),
        ("Gaussian", "dynamic", True),
    ):
        config = settings_of({"likelihood": likelihood, "binarize": binarize}).config
        assert sees_binary(config, build(config, (1, 8, 8))[0]) is expected


def test_gray_values_under_a_binary_likelihood_are_remarked_upon(train, capsys):
    train("a", "--likelihood", "Bernoulli", "--binarize", "none")
    assert "not a lower bound" in capsys.readouterr().out
    train("b", "--likelihood", "Bernoulli")
    assert "not a lower bound" not in capsys.readouterr().out


def test_one_epoch_of_mnist(mnist_root, tmp_path):
    flags = ["--data", "mnist", "--data-root", str(mnist_root), "--epochs", "1", "--latent-dim", "20"]
    network = ["--encoder.hidden_dims", "[200]", "--decoder.hidden_dims", "[200]", "--engine", "eager"]
    svi.main([*flags, *network, "--final-samples", "1", "--out", str(tmp_path / "mnist")])
    value = RunFolder(tmp_path / "mnist").read_metrics()["test_elbo"]["value"]
    # -206 is what the best model without latents reaches on this data (independent pixels), -99 a trained VAE.
    assert -150 < value < -99
