"""A pair by ``--program``: run folders, resuming, features, evaluation, comparison, and what a file may name."""

import json
import sys

import pytest
import torch
from compare.comparisons import EVALUATION, in_this_process

import pyro_vae
from pyro_vae.compare import processes
from pyro_vae.compare.command import conclude, work_through
from pyro_vae.compare.options import make_plan
from pyro_vae.errors import InputError
from pyro_vae.evaluate import evaluate
from pyro_vae.metrics import Options
from pyro_vae.runs import load

THREE = [f"programs.three_pairs:{name}" for name in ("narrow", "wide", "chained")]
SMALL = {"final_samples": 2, "engine": "eager", "quiet": True}


def test_a_program_is_trained_and_loaded_with_its_weights(tmp_path):
    run = pyro_vae.train(program=THREE[0], epochs=3, out=tmp_path / "a", **SMALL)
    trace = [row.elbo for row in run.folder.read_trace() if row.split == "test"]
    assert trace[-1] > trace[0] + 1
    again = load(run.folder.path)
    x = torch.rand(5, 1, 8, 8).round()
    z = torch.randn(5, 2)
    assert torch.equal(again.model.log_joint(x, z), run.model.log_joint(x, z))
    lam = run.guide.amortize(x)
    assert torch.equal(again.guide.amortize(x), lam)
    assert torch.allclose(pyro_vae.features(again, x), lam[:, :2])
    assert "latent_dim 2" in repr(again)


@pytest.mark.parametrize(("program", "ema_decay"), [(THREE[1], 0.0), (THREE[2], 0.0), (THREE[2], 0.3)])
def test_a_resumed_run_is_bitwise_the_undisturbed_one(tmp_path, program, ema_decay):
    whole = pyro_vae.train(program=program, epochs=3, out=tmp_path / "whole", ema_decay=ema_decay, **SMALL)
    pyro_vae.train(program=program, epochs=1, out=tmp_path / "parts", ema_decay=ema_decay, **SMALL)
    parts = pyro_vae.resume(tmp_path / "parts", epochs=3, quiet=True)
    for one, other in ((whole.model, parts.model), (whole.guide, parts.guide)):
        ours, theirs = one.state_dict(), other.state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    if ema_decay:  # a program gives its parameters names in Pyro's store, where the average has no place
        last = whole.folder.restore("last")
        pairs = [(last["trained"][f"model.{name}"], w) for name, w in last["model"].items() if "scale" not in name]
        assert len(pairs) == 4
        assert not any(torch.equal(a, b) for a, b in pairs)
    if program == THREE[2]:
        assert whole.model.state_dict()["other.0.scale.num_batches_tracked"] > 0  # a buffer of the program


def test_evaluate_measures_a_program(tmp_path):
    run = pyro_vae.train(program=THREE[2], epochs=1, out=tmp_path / "a", **SMALL)
    few = Options(images=20, evidence_images=5, gap_images=5, elbo_samples=10, importance_samples=50)
    evaluate([run.folder.path], few, ["elbo", "importance", "evidence", "gap"], train=False, quiet=True)
    test = json.loads((run.folder.path / "metrics.json").read_text())["evaluation"]["test"]
    assert test["elbo"]["settings"]["binarised"]  # its likelihood is of zeros and ones
    assert "figures" in test["evidence"] or "estimates" in test["evidence"]
    assert "given another draw" in test["gap"]["not_defined"]


def test_three_pairs_of_one_file_are_compared_to_the_report(tmp_path, monkeypatch):
    words = ["--program", ",".join(THREE), "--seeds", "2", "--epochs", "2", "--out", str(tmp_path)]
    argv = [*words, *EVALUATION, "--final_samples", "2", "--engine", "eager", "--device", "cpu"]
    monkeypatch.setattr(processes, "run_in_processes", in_this_process)
    comparison = conclude(work_through(make_plan(argv), argv))
    assert not comparison.failed
    assert list(comparison.reports) == ["narrow", "wide", "chained"]
    assert comparison.reports["wide"].differences["elbo"].seeds == 2
    page = (tmp_path / "report.html").read_text()
    assert "wide" in page
    assert comparison.reports["wide"].cost.guide_parameters > comparison.reports["narrow"].cost.guide_parameters


def test_options_that_the_program_brings_itself_are_refused():
    with pytest.raises(InputError, match="its own model and guide: leave out"):
        pyro_vae.train(program=THREE[0], guide="IAF")
    with pytest.raises(InputError, match="MODULE:NAME"):
        pyro_vae.train(program="programs.three_pairs")
    with pytest.raises(InputError, match="cannot be imported"):
        pyro_vae.train(program="programs.three_pairs:absent")
    with pytest.raises(InputError, match="makes a int"):
        pyro_vae.train(program="programs.three_pairs:nothing")


def test_a_file_that_names_a_program_runs_nothing_without_trust(tmp_path, monkeypatch):
    (tmp_path / "fresh_program.py").write_text("raise SystemExit('it ran')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("fresh_program:make", "fresh_program:inner.make"):
        (tmp_path / "config.yaml").write_text(f"program: {name}\n")
        with pytest.raises(InputError, match=r"fresh_program.*is no installed plug"):
            pyro_vae.train(config=tmp_path / "config.yaml")
    assert "fresh_program" not in sys.modules
    with pytest.raises(SystemExit, match="it ran"):
        pyro_vae.train(config=tmp_path / "config.yaml", trust=True)
