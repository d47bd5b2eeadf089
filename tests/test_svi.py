"""A run from its command to its folder: the loop, what it leaves, and what it refuses."""

import csv
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from run_cases import trace

import pyro_vae
from guides import GUIDES
from pyro_vae import svi
from pyro_vae.build import build, sees_binary
from pyro_vae.data import load_data
from pyro_vae.engine import StepRecord
from pyro_vae.errors import InputError
from pyro_vae.options import settings_of
from pyro_vae.run_pictures import OWN
from pyro_vae.runs import RunFolder
from pyro_vae.trace import COLUMNS
from pyro_vae.training.prepare import prepare
from pyro_vae.training.progress import ProgressBar


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
    pictures = {"reconstructions", "prior_samples", "interpolation", "latent", "manifold"}
    assert pictures <= OWN.keys()
    assert names == {f"{name}.png" for name in {*pictures, "trace"}}
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
