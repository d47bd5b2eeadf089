"""examples/bayes_weights.py at a small setting."""

import re

from loaded import example
from looks import grays

import pyro_vae

bayes_weights = example("bayes_weights")


def test_fewer_images_leave_more_unknown(tmp_path):
    small = ["--counts", "40", "1297", "--epochs", "25", "--draws", "4", "--samples", "50"]
    bayes_weights.main([*small, "--out", str(tmp_path)])
    text = (tmp_path / "results.md").read_text()
    rows = re.findall(r"^\| ([\d,]+) \| ([\d,]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|(.*)\|$", text, re.M)
    (few, kl_few, share, *_), (many, kl_many, *_) = rows
    assert (few, many) == ("40", "1,297")
    assert float(kl_few.replace(",", "")) < float(kl_many.replace(",", ""))  # fewer images say less of the weights
    run = pyro_vae.load(tmp_path / "BayesianVAE-40", "last")
    assert run.model.num_images == 40
    assert abs(run.model.weight_kl().item() / 40 - float(share)) < 0.01
    predictive, at_means, _ = (float(cell.split("+-")[0]) for cell in rows[1][-1].split("|"))
    assert abs(predictive - at_means) < 10  # of 64 pixels, by 1,297 images
    assert grays(tmp_path / "bayes_weights.png") > 50
