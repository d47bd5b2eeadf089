"""compare's exit code tells that runs failed, and that too much was asked for."""

import pytest

from pyro_vae.cli import run_command
from pyro_vae.compare import command
from pyro_vae.errors import InputError

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
