"""The commands that open a run folder, and the one line that each prints when it refuses."""

from pathlib import Path

import pytest

from pyro_vae import evaluate, svi
from pyro_vae.errors import InputError

FORMAT_0 = Path(__file__).parents[1] / "format0"


def resume(path):
    svi.main(["--resume", str(path), "--epochs", "4"])


def measure(path):
    evaluate.main([str(path), "--only", "elbo", "--images", "9", "--train", "false", "--device", "cpu"])


def line_of(command, path):
    before = {file: file.read_bytes() for file in path.glob("*.*")}
    with pytest.raises(InputError) as error:
        command(path)
    assert "\n" not in str(error.value)
    changed = {file.name for file in path.glob("*.*") if before.get(file) != file.read_bytes()}
    assert changed <= {"config.yaml"}  # --epochs stands there by then
    return str(error.value)
