"""The command: a run folder becomes metrics, a table and pictures; nothing is done twice; bad input is one line."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import pyro_vae
from pyro_vae.data import Binarizer, load_data
from pyro_vae.errors import InputError
from pyro_vae.estimators import Annealing, Draws, Estimate, Evidence, GaussianFit, LocalOptimization, Search, elbo, iwae
from pyro_vae.evaluate import evaluate, main
from pyro_vae.metrics import OWN, Options
from pyro_vae.seeds import batch_seed

QUICK = Options(
    images=120,
    gap_images=6,
    elbo_samples=20,
    iwae_samples=100,
    importance_samples=50,
    best_samples=50,
    annealing=Annealing(2, 10, 2),
    evidence=Evidence(Annealing(4, 2, 2, 0.9, 2), Search(4, 1, 5), GaussianFit(5, 4)),
    evidence_images=6,
    certificate_images=4,
    most_temperatures=4,
    local=LocalOptimization(4, 1e-2, 5, 2, 20),
    calibration_images=80,
    bracket_images=4,
    aggregate_images=40,
    gradient_images=10,
    gradient_repeats=6,
)


@pytest.fixture(autouse=True)
def _few_draws():
    """What draws of the true posterior are worth is tested where they are made; here a few of them do."""
    with pytest.MonkeyPatch.context() as patch:
        few = partial(Draws, chains=8, most_moves=4, most_apart=1, finer=0)
        for metric in ("judgement", "planes"):
            patch.setattr(f"pyro_vae.metrics.{metric}.Draws", few)
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    pyro_vae.train(data="digits", epochs=1, latent_dim=3, engine="eager", device="cpu", out=str(folder))
    return folder


@pytest.fixture
def run(trained, tmp_path):
    return Path(shutil.copytree(trained, tmp_path / "run"))


def found(run):
    return json.loads((run / "metrics.json").read_text())["evaluation"]


def usual(source):
    return {name for name, metric in OWN.items() if source in metric.on and not metric.on_demand}


def test_every_figure_says_how_it_was_obtained(run, capsys):
    names = ("latent", "reconstructions", "prior_samples", "interpolation", "manifold", "trace")
    for name in names:
        (run / "figures" / f"{name}.png").write_text(name)
    before = {path.name: path.read_bytes() for path in (run / "figures").iterdir()}
    [findings] = evaluate([run], QUICK, device="cpu")
    record = found(run)
    assert set(record) == {"test", "train", "simulated"}
    assert set(record["test"]) == usual("test")
    assert set(record["train"]) == usual("train")
    assert set(record["simulated"]) == usual("simulated")
    for source in record.values():
        for measure in source.values():
            assert {"checkpoint", "weights", "seed"} <= set(measure["settings"])
            for figure in measure["figures"].values():
                assert {"value", "standard_error", "estimator", "samples", "images", "bound"} <= set(figure)
                assert figure["value"] is not None
    assert record["test"]["iwae"]["figures"]["iwae"]["bound"] == "lower"
    assert record["test"]["gap"]["settings"]["elbo"] == {"samples": QUICK.elbo_samples}
    chosen = record["simulated"]["certificate"]["figures"]["certified_temperatures"]["value"]
    assert chosen in (2, 4)
    assert record["test"]["evidence"]["settings"]["annealing"]["temperatures"] == chosen
    assert record["test"]["gap"]["settings"]["evidence"]["annealing"]["temperatures"] == chosen
    gap = {name: figure["value"] for name, figure in record["test"]["gap"]["figures"].items()}
    assert gap["inference_gap"] == pytest.approx(gap["approximation_gap"] + gap["amortization_gap"], abs=1e-6)
    for picture in ("calibration", "k_hat", "active_units", "inference_gap"):
        assert (run / "figures" / f"{picture}.png").read_bytes().startswith(b"\x89PNG")
    # what svi drew and wrote is still there, and the table shows the figures
    assert json.loads((run / "metrics.json").read_text())["test_elbo"]["samples"] == 100
    assert before == {path.name: path.read_bytes() for path in (run / "figures").iterdir() if path.name in before}
    assert str(findings["test"]["iwae"].estimates["iwae"]) in capsys.readouterr().out


def test_the_figures_are_those_of_the_estimators(run):
    evaluate([run], QUICK, ["elbo", "iwae"], train=False, device="cpu")
    loaded = pyro_vae.load(run)
    x = next(Binarizer(False).held_out(load_data("digits").test, 120))
    binary = Binarizer(True)
    seen = (
        next(binary.held_out(load_data("digits").test, 120))
        if found(run)["test"]["elbo"]["settings"]["binarised"]
        else x
    )
    seed = batch_seed(0, 0) % 2**31
    assert found(run)["test"]["elbo"]["figures"]["elbo"]["value"] == pytest.approx(
        elbo(loaded.model, loaded.guide, seen, 20, seed=seed).elbo.value, abs=1e-4
    )
    # iwae is made in pieces of 100 images, each with its seed
    parts = [
        iwae(loaded.model, loaded.guide, seen[start : start + 100], 100, seed=batch_seed(0, start) % 2**31)
        for start in (0, 100)
    ]
    joined = Estimate.join(parts)
    record = found(run)["test"]["iwae"]["figures"]["iwae"]
    assert record["value"] == pytest.approx(joined.value, abs=1e-4)
    assert record["sampling_error"] == pytest.approx(joined.sampling_error, rel=1e-3)
    assert record["images"] == 120


def counting(monkeypatch, stop_at=None):
    """Count the pieces of work by metric; where ``stop_at`` is a number, be interrupted at that piece."""
    calls = []
    for name, metric in OWN.items():

        def measure(self, task, name=name, work=metric.measure):
            if len(calls) == stop_at:
                raise KeyboardInterrupt
            calls.append(name)
            return work(self, task)

        monkeypatch.setattr(metric, "measure", measure)
    return calls


def test_asked_again_it_measures_nothing_and_says_the_same(run, monkeypatch, capsys):
    [first] = evaluate([run], QUICK, device="cpu")
    table = capsys.readouterr().out.partition("evaluation, nats")[2]
    before = (run / "metrics.json").read_bytes()
    calls = counting(monkeypatch)
    [again] = evaluate([run], QUICK, device="cpu")
    assert calls == []
    assert (run / "metrics.json").read_bytes() == before
    assert again == first
    assert capsys.readouterr().out.partition("evaluation, nats")[2] == table

    evaluate([run], replace(QUICK, importance_samples=60), device="cpu")
    assert set(calls) == {"importance"}
    calls.clear()
    evaluate([run], replace(QUICK, elbo_samples=6), ["elbo", "gap"], train=False, device="cpu")
    assert set(calls) == {"elbo", "gap"}  # the gap is built on elbo


def test_without_the_figures_of_single_images_metrics_are_still_believed(run, monkeypatch):
    evaluate([run], QUICK, ["elbo", "iwae", "ais"], train=False, device="cpu")
    (run / "checkpoint.evaluation.safetensors").unlink()
    calls = counting(monkeypatch)
    evaluate([run], QUICK, ["elbo", "iwae", "ais"], train=False, device="cpu")
    assert calls == []
    # what needs each image's figure has them made anew
    evaluate([run], QUICK, ["gap"], train=False, device="cpu")
    assert set(calls) == {"elbo", "evidence", "gap"}


def test_other_weights_are_measured_anew(run, monkeypatch):
    evaluate([run], QUICK, ["elbo"], train=False, device="cpu")
    folder = pyro_vae.load(run).folder
    state = folder.restore("best")
    state["guide"]["head.bias"] += 0.5
    folder.save("best", state)
    before = found(run)["test"]["elbo"]["figures"]["elbo"]["value"]
    calls = counting(monkeypatch)
    evaluate([run], QUICK, ["elbo"], train=False, device="cpu")
    assert calls == ["elbo"]
    assert found(run)["test"]["elbo"]["figures"]["elbo"]["value"] < before


def without_times(record):
    return {s: {m: {**entry, "seconds": 0} for m, entry in source.items()} for s, source in record.items()}


@pytest.mark.parametrize("stop_at", [0, 2, 9])
def test_interrupted_it_goes_on_with_the_next_piece(trained, run, tmp_path, monkeypatch, stop_at):
    whole = Path(shutil.copytree(trained, tmp_path / "whole"))
    total = counting(monkeypatch)
    evaluate([whole], QUICK, device="cpu")
    monkeypatch.undo()

    first = counting(monkeypatch, stop_at)
    with pytest.raises(KeyboardInterrupt):
        evaluate([run], QUICK, device="cpu")
    monkeypatch.undo()
    rest = counting(monkeypatch)
    evaluate([run], QUICK, device="cpu")
    assert first + rest == total  # iwae takes two pieces: stopped between them, only the second is made
    assert without_times(found(run)) == without_times(found(whole))


def test_killed_it_goes_on(trained, run, tmp_path):
    options = ["--images", "250", "--gap_images", "10", "--iwae_samples", "3000", "--only", "elbo,iwae,ais"]
    options += ["--annealing.temperatures", "20", "--annealing.chains", "2", "--train", "false", "--device", "cpu"]
    command = [sys.executable, "-m", "pyro_vae.evaluate", str(run), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    kept = run / "checkpoint.evaluation.safetensors"
    deadline = time.monotonic() + 60
    while not kept.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    main([str(run), *options])
    whole = Path(shutil.copytree(trained, tmp_path / "whole"))
    main([str(whole), *options])
    for measure, entry in found(whole)["test"].items():
        for name, figure in entry["figures"].items():
            assert found(run)["test"][measure]["figures"][name]["value"] == pytest.approx(figure["value"], abs=1e-3)


def test_a_guide_without_a_figure_says_why(run, monkeypatch, capsys):
    monkeypatch.setattr("guides.MeanField.scores_any_z", False)
    evaluate([run], QUICK, ["aggregate", "mmd"], train=False, device="cpu")
    record = found(run)["test"]
    assert "scores only its own samples" in record["aggregate"]["not_defined"]
    assert "figures" not in record["aggregate"]
    assert record["mmd"]["figures"]["mmd"]["images"] == 40
    calls = counting(monkeypatch)
    evaluate([run], QUICK, ["aggregate"], train=False, device="cpu")
    assert calls == []


def test_other_images_are_told_apart(run, tmp_path):
    noise = np.random.default_rng(0).random((400, 8, 8), dtype=np.float32)
    np.save(tmp_path / "noise.npy", noise)
    evaluate([run], QUICK, ["elbo"], train=False, against=str(tmp_path / "noise.npy"), device="cpu")
    other = found(run)["against noise"]
    assert other["told_apart_by_iwae"]["figures"]["told_apart_by_iwae"]["value"] > 0.95
    assert other["elbo"]["figures"]["elbo"]["value"] < found(run)["test"]["elbo"]["figures"]["elbo"]["value"]
    assert (run / "figures" / "against-noise.png").exists()


def line_of(arguments):
    with pytest.raises(InputError) as error:
        main([str(a) for a in arguments])
    line = str(error.value)
    assert "\n" not in line
    return line


def test_bad_input_is_one_clear_line(run, tmp_path):
    assert "no such folder" in line_of([tmp_path / "nowhere"])
    assert "no config.yaml" in line_of([tmp_path])
    assert "nearest iwae" in line_of([run, "--only", "iwea"])
    assert "iwae_samples" in line_of([run, "--iwae_samples", "0"])
    assert "chains" in line_of([run, "--annealing.chains", "0"])
    np.save(tmp_path / "wide.npy", np.random.default_rng(0).random((50, 8, 9)))
    assert "(1, 8, 9)" in line_of([run, "--against", tmp_path / "wide.npy"])
    np.save(tmp_path / "bright.npy", 9 * np.random.default_rng(0).random((50, 8, 8)))
    assert "scale them alike" in line_of([run, "--against", tmp_path / "bright.npy"])


def test_what_one_image_does_not_define_is_no_error(run):
    """Such as a test set of one image has; the other metrics are measured."""
    main([str(run), "--images", "1", "--only", "elbo,units,aggregate", "--train", "false", "--device", "cpu"])
    measured = found(run)["test"]
    assert "two images" in measured["units"]["not_defined"]
    assert "two images" in measured["aggregate"]["not_defined"]
    assert measured["elbo"]["figures"]["elbo"]["images"] == 1


def test_a_run_without_checkpoint_or_code_is_one_clear_line(run):
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("guides.MeanField", "guides_that_went.Away"))
    assert "guides_that_went" in line_of([run])
    (run / "config.yaml").write_text(config)
    for path in run.glob("checkpoint.*"):
        path.unlink()
    assert "no checkpoint" in line_of([run])


def test_the_exit_code_is_two(tmp_path):
    command = [sys.executable, "-m", "pyro_vae.evaluate", str(tmp_path / "nowhere")]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "Traceback" not in ended.stderr


def test_several_runs_share_a_table(trained, tmp_path, capsys):
    runs = [Path(shutil.copytree(trained, tmp_path / name)) for name in ("one", "two")]
    evaluate(runs, QUICK, ["elbo"], train=False, device="cpu")
    out = capsys.readouterr().out
    header = next(line for line in out.splitlines() if " metric" in line)
    assert "one" in header
    assert "two" in header
    assert without_times(found(runs[0])) == without_times(found(runs[1]))


def test_quiet_prints_nothing(run, capsys):
    evaluate([run], QUICK, ["elbo"], train=False, device="cpu", quiet=True)
    assert capsys.readouterr().out == ""
    assert found(run)["test"]["elbo"]["figures"]["elbo"]["images"] == 120
