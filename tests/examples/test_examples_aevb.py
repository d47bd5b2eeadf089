"""examples/aevb at a small setting: each figure's script, its arithmetic, and that a stopped one goes on."""

import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from looks import check_figure, coloured, grays

from pyro_vae.runs import RunFolder

FOLDER = Path(__file__).parents[2] / "examples" / "aevb"


@pytest.fixture
def script(monkeypatch):
    """The scripts as modules, by their names."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def rows(text: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")][2:]


def test_samples_in_words(script):
    rounded = script("network").rounded
    assert [rounded(n) for n in (1e5, 1_650_000, 1e8)] == ["1e5", "1.6e6", "1e8"]


def test_figure_2_can_be_read(script):
    samples = 55_000.0 * np.arange(1, 31)
    bound = -100 * np.exp(-samples / 3e5)
    splits = {
        split: script("network").Curve(samples, bound + shift) for split, shift in (("test", -100), ("train", -98))
    }
    keys = [*(("mnist", dims) for dims in (3, 5, 10, 20, 200)), *(("frey_faces", dims) for dims in (2, 5, 10, 20))]
    check_figure(script("figure2").picture(dict.fromkeys(keys, splits)))


def test_figures_2_4_and_5_share_runs_and_go_on(script, tmp_path, mnist_root):
    flags = ["--out", str(tmp_path), "--data-root", str(mnist_root)]
    frey = ["--mnist-dims", "--mnist-gray-dims", "--frey-faces-dims", "2"]
    script("figure2").main([*flags, *frey, "--samples", "3130"])
    run = RunFolder(tmp_path / "frey_faces-2")
    first = run.read_trace()
    assert max(row.epoch for row in first) == 2  # 3,130 samples of 1,565 faces
    config = run.config_text()
    assert "Adagrad" in config
    assert f"weight_decay: {1 / 1565}"[:25] in config

    script("figure2").main([*flags, *frey, "--samples", "7825"])
    assert run.read_trace()[: len(first)] == first
    last = [row for row in run.read_trace() if row.epoch == 5]
    ((data, dims, samples, test, train),) = rows((tmp_path / "figure2.md").read_text())
    assert (data, dims, samples) == ("Frey Faces", "2", "7.8e3")
    bounds = {row.split: row.elbo for row in last}
    assert float(test) == pytest.approx(bounds["test"], abs=0.05)
    assert float(train) == pytest.approx(bounds["train"], abs=0.05)
    assert bounds["test"] > first[-1].elbo + 3  # it learns

    script("figure4").main([*flags, "--samples", "1565", "--data", "frey_faces"])
    assert run.read_trace()[-1].epoch == 5  # a longer run is taken as it is
    script("figure5").main([*flags, "--samples", "1000", "--mnist-dims", "2"])
    assert RunFolder(tmp_path / "mnist-2").read_trace()[-1].epoch == 1
    page = (tmp_path / "figure5.md").read_text()
    assert "figure5.py --schedule cpu --samples 1000 --mnist-dims 2`" in page
    assert "(10,000 of MNIST" in page
    assert "1e8 (MNIST) samples" in page
    assert "aces" not in page  # of the data that are not in it nothing is said
    page = (tmp_path / "figure2.md").read_text()
    assert "--samples 7825 --mnist-dims --frey-faces-dims 2 --mnist-gray-dims`" in page
    assert "(200 faces)" in page
    assert "MNIST" not in page
    assert coloured(tmp_path / "figure2.png") == 2  # the curves of training and of test images
    for figure in (4, 5):
        assert grays(tmp_path / f"figure{figure}.png") > 50


def test_figure_3_halts_and_goes_on(script, tmp_path, mnist_root, monkeypatch):
    figure3 = script("figure3")
    monkeypatch.setitem(figure3.HALTS, "cpu", [1e3, 9e3])
    flags = ["--out", str(tmp_path), "--data-root", str(mnist_root), "--training-images", "1000", "--importance", "50"]
    flags += ["--samples", "4000"]
    figure3.main(flags)
    first, second = rows((tmp_path / "figure3.md").read_text())
    assert [first[1], second[1]] == ["1e3", "4e3"]
    found = [float(cell.split(" ")[0]) for row in (first, second) for cell in row[2:]]
    assert found[2] > found[0] + 3  # log p(x) of the training images and of the test images rises
    assert found[3] > found[1] + 3
    path = tmp_path / "figure3-1000" / "metrics.json"
    metrics = json.loads(path.read_text())
    # The K-sample bound lies above the ELBO of the same last weights on test images; here on other test images.
    assert found[3] > metrics["last"]["test"]["elbo"] - 3 * metrics["test_elbo"]["standard_error"]
    images = np.load(tmp_path / "mnist-1000.npy", mmap_mode="r")
    assert len(images) == 1250
    # What was estimated is not estimated again.
    metrics["figure3, iwae_50"]["1"]["test"]["value"] = -1.0
    path.write_text(json.dumps(metrics))
    figure3.main(flags)
    assert re.search(r"\| 1e3 \|.*\| -1\.0 \+-", (tmp_path / "figure3.md").read_text())
