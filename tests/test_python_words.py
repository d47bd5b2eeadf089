"""What Python users see: short objects, draws without gradients, errors in Python's words."""

import subprocess
import sys

import numpy as np
import pyro
import pytest
import torch
from pyro import poutine
from torch import nn

import pyro_vae
from guides import MeanField
from pyro_vae.errors import InputError, in_python
from pyro_vae.estimators import Estimate
from pyro_vae.models import VAE, Bernoulli, Gaussian, MLPDecoder, StandardNormal
from pyro_vae.sklearn import VAETransformer
from pyro_vae.testing import check_guide

SMALL = {"epochs": 1, "latent_dim": 2, "final_samples": 2, "engine": "eager"}


def test_a_run_and_an_estimate_are_short(tmp_path):
    run = pyro_vae.train(quiet=True, out=tmp_path / "a", **SMALL)
    assert len(repr(run)) < 250
    assert repr(run).startswith("Run(data digits, model VAE, guide MeanField, latent_dim 2, test ELBO ")
    assert "nats per image" in repr(run)
    assert f"<td>{tmp_path / 'a'}</td>" in run._repr_html_()
    estimate = Estimate(26.851, 0.8312, "Trace_ELBO <1>", 100, 250)
    assert repr(estimate) == "26.85 +- 0.83 nats per image (100 samples, 250 images)"
    assert "&lt;1&gt;" in estimate._repr_html_()


@pytest.mark.parametrize("likelihood", [Bernoulli, Gaussian])
def test_draws_are_ready_for_numpy_and_sites_keep_their_gradients(likelihood):
    shape = (1, 4, 4)
    likelihood = likelihood(shape)
    model = VAE(MLPDecoder(2, likelihood.output_shape, [8]), likelihood, StandardNormal(2))
    assert model(n=3).numpy().shape == (3, *shape)
    x = torch.zeros(3, *shape)
    conditioned = pyro.condition(model, data={"x": x})
    log_density = poutine.trace(conditioned).get_trace(n=3).log_prob_sum()
    log_density.backward()
    assert all(p.grad is not None and (p.grad != 0).any() for p in model.decoder.parameters() if p.requires_grad)
    if isinstance(likelihood, Gaussian):
        assert poutine.trace(model).get_trace(n=3).nodes["x"]["value"].requires_grad


def test_errors_speak_python(tmp_path):
    pyro_vae.train(quiet=True, out=tmp_path / "a", **SMALL)
    with pytest.raises(InputError) as error:
        pyro_vae.train(quiet=True, out=tmp_path / "a", **SMALL)
    assert f'pyro_vae.resume("{tmp_path / "a"}")' in str(error.value)
    assert "--" not in str(error.value)
    with pytest.raises(InputError, match="no option 'lat_dim': nearest: latent_dim"):
        pyro_vae.train(lat_dim=3)
    with pytest.raises(InputError, match=r"^epochs must be positive"):
        pyro_vae.train(epochs=0)
    assert in_python("use --device cuda or cpu; a smaller --lr or --clip-norm 1 may help") == (
        'use device="cuda" or cpu; a smaller lr or clip_norm=1 may help'
    )


def test_errors_of_the_transformer_name_its_own_parameters():
    X = np.random.default_rng(0).random((30, 6))
    with pytest.raises(InputError, match="standardize=False leaves features of that range as they are") as error:
        VAETransformer(likelihood="Bernoulli", epochs=1).fit(X)
    assert "--" not in str(error.value)


def test_a_batch_larger_than_the_data_is_cut_with_a_word(tmp_path, capsys):
    whole = pyro_vae.train(out=tmp_path / "whole", batch_size=5000, **SMALL)
    assert "note: a batch is cut from 5000 to 1297 images: there are 1297 to train on\n" in capsys.readouterr().out
    exact = pyro_vae.train(quiet=True, out=tmp_path / "exact", batch_size=1297, **SMALL)
    assert [r.elbo for r in whole.folder.read_trace()] == [r.elbo for r in exact.folder.read_trace()]
    assert whole.folder.read_trace()[0].step == 1


def test_a_guide_of_a_script_is_said_to_load_nowhere_else(tmp_path):
    (tmp_path / "script.py").write_text(
        "import pyro_vae\nfrom guides import MeanField\n\n\nclass Mine(MeanField):\n    '''Mine.'''\n\n\n"
        f"pyro_vae.train(guide=Mine, out='run', **{SMALL!r})\n"
    )
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    note = next(i for i, line in enumerate(lines) if line.startswith("note: Mine stands in this script or notebook"))
    assert note < next(i for i, line in enumerate(lines) if line.startswith("epoch "))


class Flat(nn.Module):
    """A network of one's own."""

    def __init__(self):
        super().__init__()
        self.out_features = 5
        self.layer = nn.LazyLinear(5)

    def forward(self, x):
        return self.layer(x.flatten(1)).tanh()


class Unused(MeanField):
    def __init__(self, encoder, latent_dim):
        super().__init__(encoder, latent_dim)
        self.own = Flat()
        self.own(torch.zeros(1, 16))

    def amortize(self, x):
        return self.head.forward(self.own(x).repeat(1, 9)[:, : self.head.in_features])


class Used(MeanField):
    def __init__(self, encoder, latent_dim):
        network = Flat()
        network(torch.zeros(1, 16))
        super().__init__(network, latent_dim)


def test_a_guide_that_brings_its_own_network_works_or_is_told_how():
    small = {"latent_dims": [2], "batch_sizes": [7], "image_shapes": [(1, 4, 4)]}
    with pytest.raises(AssertionError, match=r"no gradient reaches.*encoder.*super\(\).__init__\(network, latent_dim"):
        check_guide(Unused, **small)
    check_guide(Used, **small)
