"""Trackers: MLflow in its offline mode, and what a run tells any tracker."""

import sys
from importlib.metadata import EntryPoint

import pytest

from pyro_vae import plugs, svi
from pyro_vae.config import Config
from pyro_vae.errors import InputError
from pyro_vae.lifecycle import resume
from pyro_vae.runs import RunFolder
from pyro_vae.testing import check_tracker
from pyro_vae.trackers import MLflow, trackers

SMALL = ["--epochs", "2", "--encoder.hidden_dims", "[8]", "--decoder.hidden_dims", "[8]", "--final_samples", "2"]
SMALL += ["--engine", "eager", "--device", "cpu", "--batch_size", "500"]


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """MLflow's client of a database file, as the option uses it where no server is named."""
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: pip install pyro_vae[mlflow]")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    monkeypatch.chdir(tmp_path)
    return lambda: mlflow.MlflowClient("sqlite:///mlflow.db")


@pytest.mark.pictures
@pytest.mark.filterwarnings("ignore")  # of MLflow's own libraries
def test_a_run_is_in_mlflow_with_its_options_numbers_and_pictures(offline, tmp_path):
    svi.main([*SMALL, "--tracker", "mlflow", "--guide", "FullRank", "--out", str(tmp_path / "run")])
    client = offline()
    [run] = client.search_runs([client.get_experiment_by_name("pyro_vae").experiment_id])
    assert run.info.run_name == "run"
    assert run.info.status == "FINISHED"
    assert run.data.params["guide"] == "FullRank"
    assert run.data.params["epochs"] == "2"
    rows = RunFolder(tmp_path / "run").read_trace()
    for split in ("train", "validation", "test"):
        told = [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, f"{split}/elbo")]
        assert told == [(row.step, row.elbo) for row in rows if row.split == split]
    metrics = RunFolder(tmp_path / "run").read_metrics()
    assert run.data.metrics["test_elbo"] == metrics["test_elbo"]["value"]
    assert metrics["tracker"] == {"name": "mlflow", "run": run.info.run_id}
    files = {file.path for file in client.list_artifacts(run.info.run_id, "figures")}
    assert "figures/trace.png" in files

    # a run that is resumed goes on in the same run there
    resume(tmp_path / "run", epochs=3, quiet=True)
    assert len(client.get_metric_history(run.info.run_id, "test/elbo")) == 3
    assert len(client.search_runs([run.info.experiment_id])) == 1


@pytest.mark.filterwarnings("ignore")  # of MLflow's own libraries
def test_mlflow_keeps_the_contract(offline):
    check_tracker(MLflow)


class Failing:
    """Its server goes away after the first epoch."""

    def start(self, name, options, resumed):
        return "1"

    def log(self, step, values):
        raise ConnectionError("the server\nis gone")

    def finish(self, values, files):
        raise AssertionError("it is told nothing more")


def declare(monkeypatch, name, value):
    points = [EntryPoint(name, value, "pyro_vae.trackers")]
    monkeypatch.setattr(plugs, "entry_points", lambda group: points if group == "pyro_vae.trackers" else [])
    plugs.declared.cache_clear()


def test_a_tracker_that_fails_ends_with_one_note_and_the_run_goes_on(tmp_path, monkeypatch, capsys):
    declare(monkeypatch, "failing", f"{__name__}:Failing")
    try:
        svi.main([*SMALL, "--tracker", "failing", "--out", str(tmp_path / "run")])
    finally:
        plugs.declared.cache_clear()
    said = capsys.readouterr().out
    assert said.count("the tracker failing fails, and is told nothing more: ConnectionError: the server is gone") == 1
    assert RunFolder(tmp_path / "run").read_metrics()["finished"] is True


def test_a_name_that_is_none_is_told_the_nearest():
    assert trackers()["mlflow"] is MLflow
    with pytest.raises(InputError, match=r"no tracker 'mlflw': nearest: mlflow; known: mlflow"):
        Config(tracker="mlflw")


def test_without_mlflow_one_line_says_what_to_install_and_no_folder_is_made(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(InputError, match=r"pip install 'pyro_vae\[mlflow\]'"):
        svi.main([*SMALL, "--tracker", "mlflow", "--out", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()


def test_an_unusable_address_is_one_line(monkeypatch):
    pytest.importorskip("mlflow", reason="MLflow is not installed: pip install pyro_vae[mlflow]")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://x")
    with pytest.raises(InputError, match="MLFLOW_TRACKING_URI") as error:
        MLflow()
    assert "\n" not in str(error.value)


class SameName:
    """Gives all runs one name."""

    def start(self, name, options, resumed):
        return name

    def log(self, step, values):
        pass

    def finish(self, values, files):
        pass


class NoName(SameName):
    def start(self, name, options, resumed):
        return None


class NoFinish:
    start = log = SameName.log


@pytest.mark.parametrize(
    ("broken", "words"),
    [(SameName, "two runs have one name"), (NoName, "start returns None"), (NoFinish, "no method finish")],
)
def test_a_broken_tracker_is_told_in_words(broken, words):
    with pytest.raises(AssertionError, match=rf"{broken.__name__}: .*{words}"):
        check_tracker(broken)


def test_a_file_does_not_choose_a_tracker(tmp_path):
    (tmp_path / "options.yaml").write_text("tracker: mlflow\n")
    with pytest.raises(InputError, match="type --tracker mlflow"):
        svi.main(["--config", str(tmp_path / "options.yaml"), *SMALL])
