"""examples/half_seen.py at a small setting."""

import re

import numpy as np
from loaded import example
from looks import grays

half_seen = example("half_seen")


def test_halves_are_hidden_and_nothing_else():
    x = np.random.default_rng(1).random((200, 1, 8, 8), np.float32)
    hidden = half_seen.with_halves_hidden(x)
    counts = np.isnan(hidden).sum((1, 2, 3))
    assert set(counts) == {0, 32}
    assert 20 < (counts == 0).sum() < 60
    assert np.array_equal(hidden[~np.isnan(hidden)], x[~np.isnan(hidden)])


def test_what_is_seen_tells_of_what_is_hidden(tmp_path):
    half_seen.main(["--epochs", "25", "--images", "20", "--draws", "10", "--out", str(tmp_path)])
    text = (tmp_path / "results.md").read_text()
    errors = [float(found) for found in re.findall(r"^\| .*? \| ([\d.]+) ±", text, re.M)]
    mean, alone, weighted, exact = errors
    assert max(alone, weighted, exact) < mean
    assert abs(weighted - exact) < 0.05
    assert grays(tmp_path / "half_seen.png") > 50
