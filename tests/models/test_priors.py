"""Priors: proper densities, and the mixture of posteriors that they say they are."""

import copy
import pickle

import numpy as np
import pytest
import torch
from completeness import missing_lines
from scipy import stats

import guides
import pyro_vae
from guides import GUIDES, MLPEncoder
from pyro_vae import models
from pyro_vae.build import build
from pyro_vae.errors import InputError
from pyro_vae.models import FlowPrior, HierarchicalPrior, MixturePrior, Prior, StandardNormal, VampPrior
from pyro_vae.options import settings_of
from pyro_vae.runs import load

SHAPE = (1, 3, 2)
PRIORS = {
    "StandardNormal": StandardNormal,
    "MixturePrior": lambda d: MixturePrior(d, components=3),
    "FlowPrior": lambda d: FlowPrior(d, hidden_dims=[8]),
    "VampPrior": lambda d: VampPrior(d, components=3),
    "HierarchicalPrior": lambda d: HierarchicalPrior(d, hidden_dims=[8]),
}


def test_every_prior_that_is_found_is_listed():
    assert not (missing := missing_lines(models.PRIORS, PRIORS, "PRIORS")), missing


each_prior = pytest.mark.parametrize("name", PRIORS)


#: those whose decoder sees all of z
WHOLE = [name for name, make in PRIORS.items() if make(2).decoded_dim == 2]


def shaken(name: str, latent_dim: int = 2) -> Prior:
    """A prior with weights far from its first ones."""
    torch.manual_seed(0)
    prior = PRIORS[name](latent_dim)
    guide = guides.MeanField(MLPEncoder(SHAPE, [4]), latent_dim)
    prior.bind(guide, SHAPE, torch.full(SHAPE, 0.5))
    with torch.no_grad():
        for parameter in [*prior.parameters(), *guide.head.parameters()]:
            parameter.add_(0.25 * torch.randn_like(parameter))
    return prior


@each_prior
def test_the_density_integrates_to_one(name):
    prior = shaken(name).double()
    for guide in getattr(prior, "_guide", ()):
        guide.double()
    axis = torch.linspace(-15, 15, 601, dtype=torch.float64)
    density = prior().log_prob(torch.cartesian_prod(axis, axis)).exp()
    assert prior().batch_shape == ()
    assert prior().event_shape == (2,)
    assert density.sum().item() * (axis[1] - axis[0]).item() ** 2 == pytest.approx(1, abs=1e-4)


@each_prior
def test_samples_have_the_density_that_is_scored(name):
    """The histogram of 20,000 samples over 16 cells against the density's integral: chi-squared, one test in 10,000."""
    prior = shaken(name)
    with torch.no_grad():
        z = prior().sample((20_000,)).numpy()
        middle = np.median(z, 0)
        inner = np.quantile(z, [0.2, 0.8], axis=0)
        edges = [np.array([-15, inner[0, d], middle[d], inner[1, d], 15]) for d in range(2)]
        counts = np.histogram2d(z[:, 0], z[:, 1], edges)[0].ravel()
        nodes, weights = np.polynomial.legendre.leggauss(40)
        expected = []
        for a, b in zip(edges[0][:-1], edges[0][1:], strict=True):
            for c, d in zip(edges[1][:-1], edges[1][1:], strict=True):
                x, y = (b - a) / 2 * nodes + (a + b) / 2, (d - c) / 2 * nodes + (c + d) / 2
                grid = torch.tensor(np.stack(np.meshgrid(x, y, indexing="ij"), -1), dtype=torch.float32)
                density = prior().log_prob(grid).exp().numpy()
                expected.append(weights @ density @ weights * (b - a) * (d - c) / 4)
    expected = np.array(expected)
    assert expected.sum() == pytest.approx(1, abs=2e-3)
    expected *= counts.sum() / expected.sum()
    assert stats.chisquare(counts, expected).pvalue > 1e-4


@each_prior
def test_shapes(name):
    p = shaken(name, 3)()
    z = p.sample((5, 4))
    assert z.shape == (5, 4, 3)
    assert p.log_prob(z).shape == (5, 4)
    assert p.expand((7,)).log_prob(z[0, :1, :]).shape == (7,)


@pytest.mark.parametrize("guide", ["MeanField", "FullRank", "IAF", "Mixture"])
def test_vamp_prior_is_the_mean_of_the_posteriors(guide):
    torch.manual_seed(0)
    q = GUIDES[guide](MLPEncoder(SHAPE, [4]), 2)
    prior = VampPrior(2, components=4, spread=1.0)
    prior.bind(q, SHAPE, torch.full(SHAPE, 0.5))
    z = torch.randn(6, 2)
    each = [q.posterior(q.amortize(u[None])) for u in prior.pseudo_inputs]
    by_hand = torch.stack([torch.cat([p.log_prob(row[None]) for row in z]).exp() for p in each]).mean(0)
    torch.testing.assert_close(prior().log_prob(z).exp(), by_hand, rtol=1e-5, atol=1e-7)


def test_vamp_prior_owns_its_pseudo_inputs_and_moves_the_guide():
    torch.manual_seed(0)
    config = settings_of({"prior": "VampPrior", "likelihood": "Gaussian", "latent_dim": 2}).config
    model, guide = build(config, SHAPE, torch.full(SHAPE, 0.5))
    assert [name for name in model.state_dict() if name.startswith("prior")] == ["prior.pseudo_inputs"]
    assert not {id(p) for p in model.parameters()} & {id(p) for p in guide.parameters()}
    assert (model.prior.pseudo_inputs.mean(0) - 0.5).abs().max() < 0.05  # 100 draws with a spread of 0.1
    model.prior().log_prob(torch.zeros(1, 2)).sum().backward()
    assert model.prior.pseudo_inputs.grad.abs().sum() > 0
    assert guide.head.weight.grad.abs().sum() > 0

    # A copy of the pair keeps to itself, and so does one that was pickled.
    for pair in (copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))):
        twin, other = pair((model, guide))
        before = model.prior().log_prob(torch.zeros(1, 2))
        with torch.no_grad():
            other.head.bias.add_(1.0)
        assert twin.prior().log_prob(torch.zeros(1, 2)) != before
        assert model.prior().log_prob(torch.zeros(1, 2)) == before


def test_another_prior_changes_no_other_first_weight():
    def weights(prior):
        options = {"prior": prior, "likelihood": "Gaussian", "latent_dim": 2}
        model, guide = build(settings_of(options).config, SHAPE, torch.full(SHAPE, 0.5))
        return {**model.decoder.state_dict(), **guide.state_dict()}

    first = weights("StandardNormal")
    for name in WHOLE:
        for key, value in weights(name).items():
            assert torch.equal(value, first[key]), (name, key)


@pytest.mark.parametrize(
    ("guide", "words"),
    [("Planar", "own samples"), ("Delta", "own samples"), ("SemiAmortized", "asks the guide")],
)
def test_vamp_prior_refuses_guides_it_cannot_be_made_of(guide, words, tmp_path):
    with pytest.raises(InputError, match=words):
        pyro_vae.train(prior="VampPrior", guide=guide, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_vamp_prior_says_that_it_is_not_bound():
    with pytest.raises(RuntimeError, match="bind"):
        VampPrior(2)()


@pytest.mark.parametrize(
    "wrong", [lambda: MixturePrior(2, 0), lambda: FlowPrior(2, 0), lambda: VampPrior(2, 0), lambda: FlowPrior(1)]
)
def test_wrong_options(wrong):
    with pytest.raises(ValueError, match=r"must be positive|two dimensions"):
        wrong()


DIGITS = ["--likelihood", "Gaussian", "--likelihood.scale", "0.2", "--lr", "3e-3", "--latent-dim", "2"]
IWAE = ["--objective", "IWAE", "--objective.num_particles", "3"]


def few(name: str) -> list[str]:
    return ["--prior", name, *(["--prior.components", "20"] if name in ("MixturePrior", "VampPrior") else [])]


@each_prior
def test_priors_train_and_load(name, train):
    folder = train(name, *DIGITS, *IWAE, "--epochs", "1", *few(name))
    run, again = load(folder.path, "last"), load(folder.path, "last")
    z = torch.randn(5, 2)
    assert torch.equal(run.model.prior().log_prob(z), again.model.prior().log_prob(z))
    first, _ = build(run.config, run.model.image_shape)
    for parameter, start in zip(run.model.prior.parameters(), first.prior.parameters(), strict=True):
        assert not torch.equal(parameter, start)


def test_learned_priors_are_no_worse(train):
    """On the digits with one seed, 12 epochs: the training ELBO of a prior that is learned is not half a nat lower."""

    def elbo(name: str) -> float:
        return train(name, *DIGITS, "--epochs", "12", *few(name)).read_metrics()["last"]["train"]["elbo"]

    reached = {name: elbo(name) for name in WHOLE}
    assert min(reached.values()) > reached["StandardNormal"] - 0.5, reached
