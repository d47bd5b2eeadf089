"""examples/features.py at a small setting, and its own arithmetic."""

import re

import numpy as np
import pytest
from loaded import example
from looks import coloured

features = example("features")


def test_few_labels_are_balanced_rows_of_their_own():
    labels = np.random.default_rng(0).integers(0, 10, 500)
    rows = features.few(labels, 100, seed=1)
    assert len(set(rows)) == 100
    assert (np.bincount(labels[rows]) == 10).all()
    assert set(rows) != set(features.few(labels, 100, seed=2))
    assert sorted(features.few(labels, 500, seed=1)) == list(range(500))


def test_digits(tmp_path):
    features.main(["--epochs", "12", "--latent-dim", "5", "--out", str(tmp_path)])
    text = (tmp_path / "results.md").read_text()
    rows = dict(re.findall(r"^\| (raw|PCA|autoencoder|VAE)[^|]*\|(.*)\|$", text, re.M))
    assert len(rows) == 4
    for name, row in rows.items():
        cells = [float(cell.split("+-")[0]) for cell in row.split("|")]
        assert len(cells) == 8
        hundred, thousand, everything, *_ = cells
        assert hundred > thousand >= everything - 2, name  # test errors in percent
        assert everything < 30, name  # a guess has 90
        assert 0.2 < cells[-1] < 1, name  # NMI
    assert float(rows["raw"].split("|")[2]) == pytest.approx(2, abs=1.5)  # 5-NN on all digits is known to be this good
    assert coloured(tmp_path / "features.png") >= 10  # a colour for each class
