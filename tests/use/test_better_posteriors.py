"""A run put to use with better posteriors than the encoder's, against closed forms where there are some."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import pyro_vae
from pyro_vae.errors import InputError
from pyro_vae.estimators import LocalOptimization, optimize_posterior


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "digits"
    options = {"data": "digits", "epochs": 2, "latent_dim": 2, "engine": "eager", "device": "cpu"}
    pyro_vae.train(**options, out=str(out))
    return pyro_vae.load(out)


def test_optimised_and_exact_draws_agree_where_the_encoder_is_off(run, monkeypatch):
    """After two epochs the encoder is far off, and a posterior in a plane is nearly a Gaussian."""
    quick = partial(optimize_posterior, settings=LocalOptimization(16, 3e-2, 50, 3, 300))
    monkeypatch.setattr("pyro_vae.better.optimize_posterior", quick)
    x = torch.rand(6, *run.model.image_shape)
    draws = {which: pyro_vae.posterior_draws(run, x, 400, which) for which in ("amortized", "optimised", "exact")}
    assert {z.shape for z in draws.values()} == {(400, 6, 2)}
    joint = {which: run.model.log_joint(x, z).mean().item() for which, z in draws.items()}
    assert joint["amortized"] < min(joint["optimised"], joint["exact"]) - 0.1

    def apart(one, other):
        return (draws[one].mean(0) - draws[other].mean(0)).norm(dim=-1).mean()

    assert apart("optimised", "exact") < 0.5 * apart("amortized", "exact")


def test_arrays_give_arrays_and_the_seed_repeats(run):
    x = np.random.default_rng(0).random((3, *run.model.image_shape), dtype=np.float32)
    first, again, other = (pyro_vae.posterior_draws(run, x, 100, seed=seed) for seed in (1, 1, 2))
    assert isinstance(first, np.ndarray)
    assert (first == again).all()
    assert (first != other).any()


def test_what_cannot_be_had_is_one_line(run):
    x = torch.rand(2, *run.model.image_shape)
    with pytest.raises(InputError, match="no posterior 'best'"):
        pyro_vae.posterior_draws(run, x, which="best")
    with pytest.raises(InputError, match="must be positive"):
        pyro_vae.posterior_draws(run, x, 0)
    with pytest.raises(InputError, match="at least one image"):
        pyro_vae.posterior_draws(run, x[:0])


@pytest.fixture(scope="module")
def linear(tmp_path_factory):
    """A run whose posterior and evidence are known: after one epoch the encoder is far from right."""
    out = tmp_path_factory.mktemp("runs") / "linear"
    gaussian = {"class_path": "Gaussian", "init_args": {"squash": False}}
    parts = {"model": "LinearGaussian", "decoder": "LinearDecoder", "likelihood": gaussian}
    options = {"epochs": 1, "latent_dim": 2, "engine": "eager", "device": "cpu"}
    pyro_vae.train(data="digits", out=str(out), guide="FullRank", **parts, **options)
    run = pyro_vae.load(out)
    run.model.requires_grad_(False)
    x = torch.from_numpy(load_digits().images[:6, None] / 16).float()
    return run, x


@pytest.fixture
def _quick(monkeypatch):
    quick = partial(optimize_posterior, settings=LocalOptimization(32, 3e-2, 50, 3, 600))
    for module in ("better", "use.densities"):
        monkeypatch.setattr(f"pyro_vae.{module}.optimize_posterior", quick)


@pytest.mark.usefixtures("_quick")
def test_features_of_better_posteriors_are_the_closed_form(linear):
    run, x = linear
    exact = run.model.exact_posterior(x)
    sd = exact.stddev
    for which, off in (("exact", 0.2), ("optimised", 0.5)):
        mean, std = (pyro_vae.features(run, x, statistic, posterior=which) for statistic in ("mean", "std"))
        assert ((mean - exact.mean) / sd).abs().max() < off, which
        torch.testing.assert_close(std, sd, rtol=0.2, atol=0)
    assert ((pyro_vae.features(run, x) - exact.mean) / sd).abs().max() > 1  # what is repaired
    draws = pyro_vae.features(run, x, "samples", 300, "exact")
    assert draws.shape == (300, 6, 2)
    assert ((draws.mean(0) - exact.mean) / sd).abs().max() < 0.3
    with pytest.raises(InputError, match="no posterior 'true'; there are amortized, optimised, exact"):
        pyro_vae.features(run, x, posterior="true")


@pytest.mark.usefixtures("_quick")
def test_reconstructions_of_better_posteriors_are_the_closed_form(linear):
    run, x = linear
    expected = run.model.decode(run.model.exact_posterior(x).mean)
    found = {which: pyro_vae.reconstruct(run, x, which, 400) for which in ("amortized", "optimised", "exact")}
    assert found["exact"].shape == x.shape
    spread = expected.std()
    for which in ("optimised", "exact"):
        assert (found[which] - expected).square().mean().sqrt() < 0.1 * spread, which
    assert (found["amortized"] - expected).square().mean().sqrt() > 0.15 * spread
    arrays = pyro_vae.reconstruct(run, x.numpy(), "exact", 400)
    assert isinstance(arrays, np.ndarray)
    np.testing.assert_array_equal(arrays, found["exact"].numpy())


@pytest.mark.usefixtures("_quick")
def test_anomaly_scores_of_better_posteriors_are_the_closed_form(linear):
    run, x = linear
    x = torch.cat([x, 1 - x[:2]])  # the last two are negatives
    evidence, exact = run.model.log_evidence(x), run.model.exact_posterior(x)
    q = run.guide.posterior(run.guide.amortize(x))
    # -ELBO = -log p(x) + KL(q || p), both Gaussians
    gap = torch.distributions.kl_divergence(
        torch.distributions.MultivariateNormal(q.mean, q.covariance_matrix),
        torch.distributions.MultivariateNormal(exact.mean, exact.covariance_matrix),
    )
    found = {which: pyro_vae.anomaly_scores(run, x, which, 2000) for which in ("amortized", "optimised", "exact")}
    torch.testing.assert_close(found["amortized"], (gap - evidence).double(), atol=0.05, rtol=0.05, check_dtype=False)
    torch.testing.assert_close(found["exact"], -evidence.double(), atol=0.05, rtol=0)
    torch.testing.assert_close(found["optimised"], -evidence.double(), atol=0.3, rtol=0)
    assert found["exact"][:6].max() < found["exact"][6:].min()
    assert gap.min() > 50  # what is repaired


def test_what_cannot_be_used_is_one_line(run, linear):
    x = torch.rand(2, *run.model.image_shape)
    for use in (pyro_vae.reconstruct, pyro_vae.anomaly_scores):
        with pytest.raises(InputError, match="no posterior 'best'"):
            use(run, x, "best")
        with pytest.raises(InputError, match="must be positive"):
            use(run, x, num_samples=0)
        with pytest.raises(InputError, match="at least one image"):
            use(run, x[:0])
