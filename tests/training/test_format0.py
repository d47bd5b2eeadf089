"""Run folders of another format load and go on, or are refused in words."""

import json
import shutil

import pytest
from belongs_cases import FORMAT_0, line_of, measure, resume

import pyro_vae
from pyro_vae import evaluate, svi, traces
from pyro_vae.runs import RunFolder
from pyro_vae.trace import trace_digest


def test_a_folder_of_a_newer_format_is_refused_in_words(train):
    folder = train("a")
    text = folder.config_text()
    assert text.endswith("# run folder of pyro_vae, format 1\n")
    (folder.path / "config.yaml").write_text(text.replace("format 1", "format 2"))
    for command in (pyro_vae.load, resume, measure, lambda path: traces.main([str(path)])):
        assert "is of format 2, and this version of pyro_vae reads up to 1" in line_of(command, folder.path)
    (folder.path / "config.yaml").write_text(text)
    path = folder.checkpoint("best")
    path.write_bytes(path.read_bytes().replace(b'"format":"1"', b'"format":"7"'))
    assert "checkpoint.best.safetensors is of format 7" in line_of(pyro_vae.load, folder.path)


@pytest.fixture
def old(tmp_path):
    """A run folder of before the formats had numbers: three epochs of digits, and a measure of it."""
    return RunFolder(shutil.copytree(FORMAT_0, tmp_path / "old"))


def test_a_folder_of_format_0_loads_and_keeps_its_measures(old, monkeypatch):
    run = pyro_vae.load(old.path)
    assert run.data is None
    before = json.loads((old.path / "metrics.json").read_text())["evaluation"]
    assert run.weights == before["test"]["elbo"]["settings"]["weights"]
    words = ["--only", "elbo", "--images", "50", "--train", "false", "--device", "cpu", "--quiet", "true"]
    evaluate.main([str(old.path), *words])
    assert json.loads((old.path / "metrics.json").read_text())["evaluation"] == before
    traces.main([str(old.path)])


def test_a_run_of_format_0_goes_on_and_is_one_of_format_1_then(old, tmp_path):
    first = old.read_trace()
    resume(old.path)
    rows = old.read_trace()
    assert rows[: len(first)] == first
    assert rows[-1].epoch == 4
    svi.main(["--config", str(old.path / "config.yaml"), "--out", str(tmp_path / "again")])
    again = RunFolder(tmp_path / "again").read_trace()
    # rows of the validation split take more draws of z than at format 0
    same = [(a.elbo, b.elbo) for a, b in zip(again, rows, strict=True) if a.split != "validation"]
    assert [a for a, _ in same] == pytest.approx([b for _, b in same], rel=1e-4)
    assert old.config_text().endswith("format 1\n")
    assert old.restore("last")["state"]["trace"] == trace_digest(rows)
    (old.path / "trace.csv").write_bytes((tmp_path / "again" / "trace.csv").read_bytes())
    assert "are not of one run" in line_of(resume, old.path)
