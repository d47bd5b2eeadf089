"""examples/autoencoder.py at a small setting; its quadrature against a closed form."""

import re

import pyro.distributions as dist
import pytest
import torch
from closed_forms import linear_gaussian
from loaded import example
from looks import grays

from pyro_vae.runs import RunFolder

autoencoder = example("autoencoder")


def test_the_quadrature_is_the_evidence():
    torch.manual_seed(0)
    model = linear_gaussian(2, (1, 3, 2)).float()
    x = model(n=8).detach()
    standard = dist.MultivariateNormal(torch.zeros(2), torch.eye(2))
    found = autoencoder.log_evidence(model, standard, x, side=120)
    torch.testing.assert_close(found, model.log_evidence(x).detach(), atol=1e-4, rtol=0)
    # Under another Gaussian prior N(m, L L^T) the model is that of W L and W m + b.
    prior = dist.MultivariateNormal(torch.tensor([1.0, -2.0]), scale_tril=torch.tensor([[2.0, 0.0], [0.5, 0.7]]))
    found = autoencoder.log_evidence(model, prior, x, side=160)
    with torch.no_grad():
        weight, bias = model.decoder.output.weight, model.decoder.output.bias
        bias += weight @ prior.loc
        weight.copy_(weight @ prior.scale_tril)
    torch.testing.assert_close(found, model.log_evidence(x).detach(), atol=1e-3, rtol=0)


def test_the_nearest_image():
    images = torch.tensor([[0.0, 0.0], [3.0, 4.0]]).reshape(2, 1, 1, 2)
    to = torch.tensor([[0.0, 0.0], [0.0, 4.0]]).reshape(2, 1, 1, 2)
    assert autoencoder.nearest(images, to).tolist() == [0.0, 3.0]


def test_digits(tmp_path):
    autoencoder.main(["--epochs", "8", "--side", "60", "--out", str(tmp_path)])
    text = (tmp_path / "results.md").read_text()
    rows = {name: cells.split("|") for name, cells in re.findall(r"^\| ([^|]+?) \|(.*)\|$", text, re.M)}
    error, evidence, code_kl = (
        [float(cell.split("+-")[0]) for cell in next(v for k, v in rows.items() if k.startswith(start))]
        for start in ("squared error", "log p(x), test", "KL")
    )
    assert error[0] == error[1] < error[2] < 0.1  # the autoencoder reconstructs better
    assert code_kl[1] == pytest.approx(0, abs=0.01)  # its third column's prior was fitted to its codes
    chosen = {name: RunFolder(tmp_path / f"run-{name}").read_metrics()["test_elbo"] for name in ("autoencoder", "vae")}
    # The quadrature must be above the bound, on the same images; so early in training by several nats.
    assert 0 < evidence[2] - chosen["vae"]["value"] < 15
    # The autoencoder's weights are chosen by its reconstructions, not by log p(z), which would choose an early epoch.
    assert chosen["autoencoder"]["epoch"] >= 5
    assert grays(tmp_path / "autoencoder.png") > 50
