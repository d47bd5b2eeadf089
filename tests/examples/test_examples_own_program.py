"""examples/own_program.py: Pyro's tutorial VAE, measured as it is."""

import re

import pytest
import torch
from loaded import example

own_program = example("own_program")


@pytest.mark.filterwarnings("ignore")
def test_the_tutorials_vae_is_trained_and_measured(capsys, monkeypatch):
    threads = torch.get_num_threads()
    monkeypatch.setattr("sys.argv", ["own_program.py", "--epochs", "15", "--images", "25"])
    own_program.main()
    torch.set_num_threads(threads)
    said = capsys.readouterr().out
    elbo, evidence = map(float, re.search(r"ELBO ≥ (\S+) .*log p\(x\) ≥ (\S+) ", said).groups())
    assert -30 < elbo < evidence + 1 < -10
    assert "certified to" in said
    assert "approximation gap" in said
