"""examples/labels.py at a small setting, and its own arithmetic."""

from pathlib import Path

import numpy as np
import pytest
import torch
from loaded import example
from looks import grays

import pyro_vae
from pyro_vae.data import load_data

labels = example("labels")
RESULTS = Path(__file__).parents[2] / "examples" / "results"


def test_more_labels_make_a_better_baseline():
    data = load_data("digits")
    few, many = labels.baseline(data, 20, seed=0), labels.baseline(data, len(data.train), seed=0)
    assert many == pytest.approx(4, abs=2)  # logistic regression on all of the digits is known to be this good
    assert many + 10 < few < 60


def test_the_published_page_says_how_its_settings_were_chosen():
    page = (RESULTS / "labels-mnist" / "results.md").read_text()
    assert labels.other_settings("mnist", 100) in page
    assert labels.other_settings("digits", 100) == ""
    assert labels.other_settings("kmnist", 100) not in ("", labels.other_settings("mnist", 100))


def test_digits(tmp_path):
    command = ["--epochs", "0.1", "--draws", "2", "--labels", "60", "--engine", "eager", "--out", str(tmp_path)]
    labels.main(command)
    text = (tmp_path / "results.md").read_text()
    lines = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")]
    rows = {name.strip(): [cell.strip() for cell in cells] for name, *cells in lines}
    assert list(rows) == ["model", "---", "logistic regression on pixels", "M2", "M1+M2", "conditional VAE"]
    # Percent; a guess has 90. Six epochs are too few to be good.
    assert float(rows["M2"][1].split(" ")[0]) < 50
    assert float(rows["M1+M2"][2].split(" ")[0]) < 80
    assert float(rows["conditional VAE"][2]) < 40
    assert rows["M2"][3] == ""  # the paper has no digits
    for name in ("class_samples", "analogies"):
        assert grays(tmp_path / f"{name}.png") > 50
    # The codes that M2 learned from are M1's, in the splits of the images and with their labels.
    data, codes = load_data("digits"), load_data(str(tmp_path / "codes.npz"))
    expected = pyro_vae.features(tmp_path / "m1", data.test.batch(slice(0, 250)))
    torch.testing.assert_close(codes.test.batch(slice(0, 250)).flatten(1), expected)
    for split in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(codes, split).labels, getattr(data, split).labels)
    # The setting is that of the highest validation bound under the first draw, and only it has a second draw.
    bounds = {run.name: labels.best_bound(pyro_vae.load(run)) for run in tmp_path.glob("m2-*-0")}
    assert len(bounds) == len(labels.CHOICES["m2"])
    (again,) = tmp_path.glob("m2-*-1")
    assert again.name[:-1] + "0" == max(bounds, key=bounds.get)
    assert f"M2: {again.name.split('-')[1][1:]} and " in text
    before = (again / "trace.csv").stat().st_mtime_ns
    labels.main(command)  # what was trained is not trained again, and says the same
    assert (again / "trace.csv").stat().st_mtime_ns == before
    assert (tmp_path / "results.md").read_text() == text
