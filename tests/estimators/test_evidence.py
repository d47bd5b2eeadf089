"""log p(x) by annealing from each image's best Gaussian, against closed forms, quadratures and grids."""

import math

import pyro.distributions as dist
import pytest
import torch
from densities import Rotated, TwoBumps, Unnormalised, images, linear_gaussian
from estimator_cases import SHAPE, OwnSamplesOnly, Point, Scaled
from scipy import integrate
from torch import nn

import pyro_vae
from guides import MeanField, MLPEncoder
from pyro_vae import svi
from pyro_vae.build import sees_binary
from pyro_vae.data import Binarizer, load_data
from pyro_vae.estimators import (
    Annealing,
    Evidence,
    GaussianFit,
    NotDefined,
    Search,
    anneal,
    bracket_evidence,
    log_evidence,
    simulate,
)
from pyro_vae.estimators.evidence import stratified_log_mean
from pyro_vae.estimators.gaussian_fit import fit_gaussians
from pyro_vae.estimators.grid import grid_evidence
from pyro_vae.estimators.pilot import plan_for
from pyro_vae.estimators.proposal import propose
from pyro_vae.models import Gaussian, LinearDecoder, LinearGaussian, StandardNormal


@pytest.mark.parametrize("latent_dim", [2, 20, 50])
def test_it_is_the_closed_form_of_a_linear_gaussian_model(latent_dim):
    """q* is the posterior there: what is left is the base's inflation by a tenth, 0.02 nat a dimension."""
    model = linear_gaussian(latent_dim)
    x, z = simulate(model, 8)
    truth = model.log_evidence(x).double()
    found = log_evidence(model, None, x)
    assert found.value == pytest.approx(truth.mean().item(), abs=3 * found.sampling_error + 1e-3)
    assert (found.per_image - truth).abs().max() < 0.2
    assert found.sampling_error < 0.03
    assert (found.bound, found.images, found.samples) == ("lower", 8, 16)
    sides = bracket_evidence(model, None, x, z)
    assert sides.lower.value == found.value
    assert sides.gap.value == pytest.approx(0, abs=3 * sides.gap.standard_error + 1e-3)
    assert sides.gap.standard_error < 0.05


def test_where_the_base_is_the_posterior_there_is_no_noise(monkeypatch):
    monkeypatch.setattr("pyro_vae.estimators.proposal.INFLATION", 0.0)
    model = linear_gaussian(20)
    x, _ = simulate(model, 8)
    found = log_evidence(model, None, x, Evidence(fit=GaussianFit(steps=400)))
    torch.testing.assert_close(found.per_image, model.log_evidence(x).double(), atol=2e-3, rtol=0)


def test_the_fitted_gaussian_is_the_exact_posterior():
    model = linear_gaussian(5)
    x, _ = simulate(model, 4)
    fitted = fit_gaussians(model.log_joint, x, torch.zeros(4, 5), GaussianFit(steps=300))
    exact = model.exact_posterior(x)
    torch.testing.assert_close(fitted.loc, exact.mean, atol=1e-3, rtol=0)
    covariance = fitted.scale_tril @ fitted.scale_tril.mT
    torch.testing.assert_close(covariance, exact.covariance_matrix.expand(4, -1, -1), atol=1e-4, rtol=1e-2)
    torch.testing.assert_close(fitted.elbo, model.log_evidence(x), atol=5e-3, rtol=0)


@pytest.mark.parametrize(("latent_dim", "at_most"), [(4, 0.02), (20, 0.03), (50, 0.04)])
def test_it_is_the_quadrature_of_a_posterior_that_is_no_gaussian(latent_dim, at_most, monkeypatch):
    """Skewed, heavy-tailed and short-tailed dimensions under a rotation: a sum of one-dimensional quadratures."""
    model = Rotated(latent_dim)
    found = log_evidence(model, None, images(30))
    off = (found.per_image - model.truth()) / found.per_image_error
    assert found.value == pytest.approx(model.truth(), abs=3 * found.sampling_error)
    assert found.sampling_error < at_most
    assert (off.abs() < 2).double().mean() >= 0.8  # 95 % of thirty, within three standard errors
    # importance sampling from the same base is off by far more: the annealing is what does it
    monkeypatch.setattr("pyro_vae.estimators.pilot.FACTORS", (1,))
    one = log_evidence(model, None, images(30), Evidence(annealing=Annealing(16, 1, 5, 0.9, 2)))
    assert (one.per_image - model.truth()).abs().mean() > 1.5 * (found.per_image - model.truth()).abs().mean()


def test_the_stated_error_is_that_of_repeats():
    """600 estimates of one number, with their own errors: 95 % are within two of them."""
    model = Rotated(4)
    found = log_evidence(model, None, images(600))
    off = (found.per_image - model.truth()) / found.per_image_error
    assert 0.90 <= (off.abs() < 2).double().mean().item() <= 0.99
    assert off.std().item() == pytest.approx(1, abs=0.2)
    assert found.value == pytest.approx(model.truth(), abs=3 * found.sampling_error + 0.005)


def test_the_mean_weight_is_the_evidence_however_short_the_path():
    """Unbiased in p(x), hence low in its logarithm: 800 estimates of one temperature."""
    model = Rotated(4)
    found = log_evidence(model, None, images(800), Evidence(annealing=Annealing(2, 2, 2, 0.9, 2)))
    ratio = (found.per_image - model.truth()).exp()
    assert ratio.mean().item() == pytest.approx(1, abs=4 * ratio.std().item() / 800**0.5)
    assert found.value < model.truth() - 0.01


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_two_far_modes_are_both_counted_and_flagged(share):
    """40 standard deviations apart; an estimate from one of them is log(share) low."""
    model = TwoBumps(share)
    found = anneal(model, None, images(10), None)
    torch.testing.assert_close(found.log_evidence.per_image, torch.zeros(10).double(), atol=0.15, rtol=0)
    assert found.log_evidence.value == pytest.approx(0, abs=3 * found.log_evidence.sampling_error + 1e-3)
    assert found.modes.tolist() == [2] * 10


def test_exact_draws_of_two_modes_close_the_bracket():
    model = TwoBumps(0.7)
    side = torch.where(torch.rand(20, 1) < 0.7, 1.0, -1.0)
    z = side * model.centre + model.scale * torch.randn(20, 2)
    sides = bracket_evidence(model, None, images(20), z)
    # how many of the twenty lie on which side is chance, and the chains' shares are sixteenths
    assert sides.lower.value == pytest.approx(0, abs=0.02)
    assert sides.upper.value == pytest.approx(0, abs=0.03)


def test_one_mode_is_not_flagged():
    model = linear_gaussian(3)
    assert anneal(model, None, simulate(model, 6)[0], None).modes.tolist() == [1] * 6
    assert anneal(Rotated(6), None, images(6), None).modes.tolist() == [1] * 6


def test_a_mode_that_no_start_finds_is_missed_and_the_result_is_low():
    """What the docstring warns of: the second bump, of half the mass, is far beyond every start."""
    model = TwoBumps(0.5, distance=40.0)
    model.prior = lambda: dist.Normal(model.centre, 0.5).to_event(1)
    found = anneal(model, None, images(5), None)
    torch.testing.assert_close(found.log_evidence.per_image, torch.full((5,), math.log(0.5)).double(), atol=0.1, rtol=0)


def test_the_guide_may_be_any_and_the_prior_may_be_missing():
    model = linear_gaussian(2)
    x, _ = simulate(model, 5)
    small = LinearGaussian(LinearDecoder(2, SHAPE), Gaussian(SHAPE, 0.5, squash=False), StandardNormal(2))
    y, _ = simulate(small.requires_grad_(False), 5)
    truth = small.log_evidence(y).double()
    for guide in (Point(small), OwnSamplesOnly(small), MeanField(MLPEncoder(SHAPE, [4]), 2)):
        torch.testing.assert_close(log_evidence(small, guide, y).per_image, truth, atol=0.1, rtol=0)

    class NoPrior(nn.Module):
        log_joint = staticmethod(small.log_joint)

    torch.testing.assert_close(log_evidence(NoPrior(), Scaled(small, 3.0), y).per_image, truth, atol=0.1, rtol=0)
    with pytest.raises(NotDefined, match="NoPrior has none"):
        log_evidence(NoPrior(), None, x)


def test_a_model_that_needs_labels_is_refused():
    model = linear_gaussian(2)
    model.labels = "required"
    with pytest.raises(NotDefined, match="without its label"):
        log_evidence(model, None, simulate(model, 3)[0])


def test_heavy_tails_get_a_heavy_base():
    class Heavy(Unnormalised):
        def log_joint(self, x, z):
            return -1.75 * z.square().log1p().sum(-1)

    model = Heavy(1)
    truth = math.log(integrate.quad(lambda y: (1 + y * y) ** -1.75, -math.inf, math.inf)[0])
    torch.manual_seed(0)
    x = images(40)
    settings = Evidence()
    with torch.no_grad():
        proposal = propose(model, None, x, settings.search, settings.fit, 16)
        plan = plan_for(model.log_joint, proposal, x, settings.annealing)
    assert plan.proposal.freedom.isfinite().double().mean() > 0.5
    found = log_evidence(model, None, x)
    assert found.value == pytest.approx(truth, abs=0.03)
    light = linear_gaussian(3)
    x, _ = simulate(light, 20)
    with torch.no_grad():
        proposal = propose(light, None, x, settings.search, settings.fit, 16)
        assert plan_for(light.log_joint, proposal, x, settings.annealing).proposal.freedom.isinf().all()


@pytest.mark.parametrize(("latent_dim", "freedom"), [(4, 1.5), (4, 1.0), (10, 1.5)])
def test_the_tails_of_a_t_of_few_degrees_of_freedom_are_in_the_error(latent_dim, freedom):
    """Whose integral is known; a base of 5 degrees of freedom or more would state half of the true error."""

    class StudentT(Unnormalised):
        def log_joint(self, x, z):
            return -(freedom + latent_dim) / 2 * (z.square().sum(-1) / freedom).log1p()

    truth = latent_dim / 2 * math.log(freedom * math.pi)
    truth += math.lgamma(freedom / 2) - math.lgamma((freedom + latent_dim) / 2)
    found = log_evidence(StudentT(latent_dim), None, images(150))
    off = (found.per_image - truth) / found.per_image_error
    assert (off.abs() < 2).double().mean() >= 0.86
    assert found.value == pytest.approx(truth, abs=3 * found.sampling_error + 0.01)
    assert found.sampling_error < 0.012


def test_a_light_tailed_posterior_keeps_a_gaussian_in_many_dimensions():
    """The second moment of few weights asks for t half the time, whose radius is far off in 20 dimensions."""

    class Light(Rotated):
        @staticmethod
        def parts():
            return [lambda y: -(y**2) / 2 - y**4 / 8, lambda y: 2 * y - torch.exp(y)]

    model, x, settings = Light(20), images(30), Evidence()
    torch.manual_seed(0)
    with torch.no_grad():
        proposal = propose(model, None, x, settings.search, settings.fit, 16)
        plan = plan_for(model.log_joint, proposal, x, settings.annealing)
    assert plan.proposal.freedom.isinf().double().mean() > 0.9
    assert plan.temperatures.double().mean() < 40


def test_images_that_need_more_temperatures_get_them():
    easy, hard = anneal(Rotated(4), None, images(20), None), anneal(Rotated(40), None, images(20), None)
    assert easy.temperatures.double().mean() < hard.temperatures.double().mean()
    assert set(hard.temperatures.tolist()) <= {10, 40, 160}


def test_the_seed_repeats_and_the_callers_random_numbers_are_left_alone():
    model = Rotated(4)
    state = torch.get_rng_state()
    first, again, other = (log_evidence(model, None, images(5), seed=seed).value for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), state)
    assert first == again != other


def test_strata_count_by_their_weight():
    class Fake:
        counts = torch.tensor([[6, 2]])
        modes = torch.tensor([2])

    component = torch.tensor([0] * 6 + [1] * 2)[:, None]
    weights = torch.tensor([1.0, 2, 3, 1, 2, 3, 5, 7])[:, None]
    mean, error, share = stratified_log_mean(weights.log(), component, Fake())
    assert mean.exp().item() == pytest.approx(3.0)
    assert share[0].tolist() == pytest.approx([0.5, 0.5])
    # variances within: 0.8 of six draws, 2 of two; of the mean over eight, relative to it
    # and of Student's t with six degrees of freedom
    assert error.item() == pytest.approx((6 / 4 * (6 * 0.8 + 2 * 2) / 64) ** 0.5 / 3)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    pyro_vae.train(data="digits", epochs=15, latent_dim=2, engine="eager", device="cpu", out=str(folder))
    return folder


def against_a_grid(folder, root, n):
    run = pyro_vae.load(folder)
    data = load_data(run.config.data, root)
    x = next(Binarizer(sees_binary(run.config, run.model)).held_out(data.test, n))
    truth = grid_evidence(run.model, x)
    found = log_evidence(run.model, run.guide, x)
    off = found.per_image - truth
    assert off.mean().abs() < 0.03
    assert off.abs().max() < 0.2
    assert (off / found.per_image_error).std().item() < 1.6
    return run, x, found


def test_on_the_digits_it_is_the_grid_and_iwae_is_not(digits):
    run, x, found = against_a_grid(digits, None, 40)
    bound = pyro_vae.estimators.iwae(run.model, run.guide, x, 1000)
    assert bound.value < found.value - 0.1


def test_on_mnist_it_is_the_grid(tmp_path, mnist_root):
    options = ["--data", "mnist", "--data-root", str(mnist_root), "--latent-dim", "2", "--epochs", "1"]
    options += ["--encoder.hidden_dims", "[64]", "--decoder.hidden_dims", "[64]", "--batch-size", "500"]
    svi.main([*options, "--final-samples", "1", "--engine", "eager", "--out", str(tmp_path / "mnist")])
    against_a_grid(tmp_path / "mnist", mnist_root, 12)


@pytest.mark.parametrize("settings", [{"draws": 3}, {"steps": 0}])
def test_a_fit_refuses_what_makes_no_sense(settings):
    with pytest.raises(ValueError, match="draws even"):
        GaussianFit(**settings)
    with pytest.raises(ValueError, match="positive"):
        Search(modes=0)
