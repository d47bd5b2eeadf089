"""The name of a file or a folder is what was typed, whatever YAML makes of it."""

from pathlib import Path

import pytest

from pyro_vae import evaluate, svi
from pyro_vae.cli import run_command
from pyro_vae.errors import InputError
from pyro_vae.metrics import Options
from pyro_vae.options import make_parser, parse_arguments, settle

STRANGE = ["#x", "~", "?", "-x", "null", "true", "1.5", "[a", "{a: 1}", "a: b", "é", "*a", "&a", "a b", "- x", "'", '"']


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("joined", [True, False])
def test_out_and_data_root_take_any_name(name, joined):
    parser = make_parser()
    for option in ("--out", "--data-root"):
        given = parse_arguments(parser, [f"{option}={name}"] if joined else [option, name])
        assert given[option[2:].replace("-", "_")] == Path(name)
    settle(parser, given)


@pytest.mark.parametrize("option", ["--out", "--data-root", "--data", "--config", "--resume"])
def test_an_empty_name_is_refused(option, capsys):
    for words in ([f"{option}="], [option, ""], [option, " "]):
        with pytest.raises(SystemExit, match="2"):
            run_command(svi.main, words)
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("name", ["#x", "~", "-x"])
def test_a_run_of_a_strange_name_is_trained_and_resumed(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--epochs", "1", "--latent-dim", "2", "--final-samples", "2", "--engine", "eager", "--device", "cpu"]
    svi.main([*words, "--out", name])
    assert (tmp_path / name / "config.yaml").exists()
    svi.main(["--resume", name, "--epochs", "2"])
    assert "2 epochs" in capsys.readouterr().out


def test_numbers_of_evaluate_are_checked_before_a_run_is_read(tmp_path):
    for words, said in {
        ("--seed", str(2**70)): "seed must be below 2\\^63",
        ("--images", "0"): "images is too small",
        ("--only", "importance", "--importance-samples", "5"): "--importance-samples is at least 25 for importance",
        ("--only", "gradient", "--gradient-repeats", "3"): "--gradient-repeats is at least 4 for gradient",
        ("--only", "calibration", "--calibration-images", "79"): "--calibration-images is at least 80 for calibration",
        ("--only", "units", "--elbo-samples", "1"): "--elbo-samples is at least 2 for units",
    }.items():
        with pytest.raises(InputError, match=said):
            evaluate.main([str(tmp_path), *words])  # which is no run
    evaluate.evaluate([], Options(importance_samples=5), metrics=["elbo"], quiet=True)  # not asked for
