"""examples/fast_svi.py: the same losses before and after."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch

path = Path(__file__).parents[2] / "examples" / "fast_svi.py"
spec = importlib.util.spec_from_file_location("examples_fast_svi", path)
fast_svi = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fast_svi)


@pytest.mark.filterwarnings("ignore")
def test_both_programs_lose_nothing(capsys, monkeypatch):
    threads = torch.get_num_threads()
    monkeypatch.setattr("sys.argv", ["fast_svi.py", "--engine", "captured", "--steps", "110"])
    fast_svi.main()
    torch.set_num_threads(threads)
    differences = re.findall(r"a loss (\S+)", capsys.readouterr().out)
    assert len(differences) == 2
    assert max(map(float, differences)) < 1e-4
