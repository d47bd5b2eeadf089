"""examples/fast_svi.py: the same losses before and after."""

import re

import pytest
import torch
from loaded import example

fast_svi = example("fast_svi")


@pytest.mark.filterwarnings("ignore")
def test_both_programs_lose_nothing(capsys, monkeypatch):
    threads = torch.get_num_threads()
    monkeypatch.setattr("sys.argv", ["fast_svi.py", "--engine", "captured", "--steps", "110"])
    fast_svi.main()
    torch.set_num_threads(threads)
    differences = re.findall(r"a loss (\S+)", capsys.readouterr().out)
    assert len(differences) == 2
    assert max(map(float, differences)) < 1e-4
