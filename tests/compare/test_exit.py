"""compare's exit code tells that runs failed, and that too much was asked for."""

import numpy as np
import pytest

from pyro_vae.cli import run_command
from pyro_vae.compare import command
from pyro_vae.compare.grid import Trial
from pyro_vae.errors import InputError
from pyro_vae.lifecycle import complete, require_same
from pyro_vae.options import settings_from, settings_of

WORDS = ["--guides", "MeanField,FullRank", "--data", "digits"]


@pytest.mark.parametrize(("failed", "code"), [({}, 0), ({"FullRank-seed0": "no memory"}, 3)])
def test_the_exit_code_says_whether_runs_failed(failed, code, tmp_path, monkeypatch):
    class Publisher:
        pass

    made = Publisher()
    made.failed = failed
    monkeypatch.setattr(command, "work_through", lambda plan, argv: made)
    monkeypatch.setattr(command, "conclude", lambda publisher: None)
    with pytest.raises(SystemExit) as end:
        run_command(command.main, [*WORDS, "--seeds", "1", "--out", str(tmp_path / "c")])
    assert end.value.code == code


def test_more_runs_than_a_comparison_has_are_refused_at_once(tmp_path):
    with pytest.raises(InputError, match="2 arms x 100000000 seeds are more than the 10,000 runs"):
        command.main([*WORDS, "--seeds", "100000000", "--out", str(tmp_path / "c")])
    many = ",".join(map(str, range(1, 200)))
    with pytest.raises(InputError, match="these lists make 79202 arms"):
        command.main([*WORDS, "--latent-dim", many, "--batch-size", many, "--out", str(tmp_path / "c")])
    assert not (tmp_path / "c").exists()


def test_a_comparison_on_a_file_named_from_the_working_folder_goes_on(tmp_path, monkeypatch):
    """config.yaml has the whole path of the file, and the command line does not."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((40, 4, 4), np.float32))
    monkeypatch.chdir(tmp_path)
    text = settings_of({"data": "x.npy", "epochs": 1, "final_samples": 2, "engine": "eager", "device": "cpu"}).text
    trial = Trial("a", 0, tmp_path / "r", text, "cpu")
    complete(trial.path, settings_from(text, trust=True), quiet=True)
    require_same(trial.path, settings_from(text, trust=True), likelihood="Gaussian")
    longer = settings_from(text.replace("epochs: 1", "epochs: 2"), trust=True)
    with pytest.raises(InputError, match=r"other options \(epochs is 1, not 2\)"):
        require_same(trial.path, longer, likelihood="Gaussian")
