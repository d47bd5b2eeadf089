"""Whole runs on a CUDA device: they train, go on, are measured and used there, and are read on the processor."""

import numpy as np
import pytest
import torch

import pyro_vae
from pyro_vae import svi
from pyro_vae.evaluate import evaluate
from pyro_vae.metrics import OWN
from pyro_vae.runs import RunFolder
from pyro_vae.testing.metric import QUICK

pytestmark = pytest.mark.cuda
SMALL = ["--encoder.hidden_dims", "[16]", "--decoder.hidden_dims", "[16]", "--latent-dim", "3", "--final-samples", "5"]
SMALL += ["--device", "cuda"]
KINDS = {
    "MeanField": [],
    "IAF, clipped and averaged": ["--guide", "IAF", "--clip-norm", "1", "--ema-decay", "0.9"],
    "M2": ["--model", "M2", "--objective", "TraceEnum_ELBO", "--labels", "100"],
    "conditional": ["--model", "ConditionalVAE"],
    "semi-amortized": ["--guide", "SemiAmortized"],
    "two layers": ["--guide", "TopDown", "--prior", "HierarchicalPrior", "--latent-dim", "4"],
    "VampPrior": ["--prior", "VampPrior"],
    "Bayesian": ["--model", "BayesianVAE"],
}


def elbos(folder):
    return np.array([row.elbo for row in folder.read_trace()])


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_trains_on_the_device_as_eagerly_and_each_metric_is_measured_there(kind, tmp_path):
    traces = {}
    for engine in ("eager", "auto"):
        svi.main([*SMALL, "--epochs", "3", *KINDS[kind], "--engine", engine, "--out", str(tmp_path / engine)])
        traces[engine] = elbos(RunFolder(tmp_path / engine))
    assert np.isfinite(traces["auto"]).all()
    np.testing.assert_allclose(traces["auto"], traces["eager"], rtol=2e-2)
    found = {}
    for device in ("cuda", "cpu"):
        path = tmp_path / device
        svi.main([*SMALL, "--epochs", "1", *KINDS[kind], "--engine", "eager", "--out", str(path)])
        evaluate([path], QUICK, [*OWN], quiet=True, device=device)
        evaluation = RunFolder(path).read_metrics()["evaluation"]
        found[device] = {name: entry for split in evaluation.values() for name, entry in split.items()}
    for name in OWN:
        there, here = found["cuda"][name], found["cpu"][name]
        assert ("figures" in there) == ("figures" in here), (name, there, here)
    if "figures" in found["cuda"]["elbo"]:
        there, here = (found[device]["elbo"]["figures"]["elbo"]["value"] for device in ("cuda", "cpu"))
        assert there == pytest.approx(here, rel=0.1)


def test_a_run_goes_on_where_it_was_and_on_the_processor(tmp_path):
    for name, epochs in (("whole", "4"), ("cut", "2")):
        svi.main([*SMALL, "--epochs", epochs, "--out", str(tmp_path / name)])
    svi.main(["--resume", str(tmp_path / "cut"), "--epochs", "4"])
    np.testing.assert_allclose(elbos(RunFolder(tmp_path / "cut")), elbos(RunFolder(tmp_path / "whole")), rtol=1e-3)
    svi.main(["--resume", str(tmp_path / "cut"), "--epochs", "5", "--device", "cpu"])
    assert np.isfinite(elbos(RunFolder(tmp_path / "cut"))).all()


def test_a_run_is_used_on_the_device_as_on_the_processor(tmp_path):
    svi.main([*SMALL, "--epochs", "2", "--out", str(tmp_path / "a")])
    run = pyro_vae.load(tmp_path / "a")
    x = torch.rand(7, *run.model.image_shape)
    here = run.guide.amortize(x)
    run.model.cuda(), run.guide.cuda()
    torch.testing.assert_close(run.guide.amortize(x.cuda()).cpu(), here, rtol=1e-4, atol=1e-4)
