"""Active units, the KL of each dimension, the aggregate posterior and gradients against closed forms."""

from dataclasses import replace

import pyro.distributions as dist
import pytest
import torch
from estimator_cases import SHAPE, OwnSamplesOnly, Point, Scaled, linear_gaussian
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from guides import FullRank, Guide, MeanField, MLPEncoder
from pyro_vae.estimators import (
    NotDefined,
    active_units,
    aggregate_posterior,
    gradient_quality,
    kl_of_dimensions,
    mmd,
    posterior_draws,
    simulate,
)
from pyro_vae.metrics.units import Units
from pyro_vae.objectives import STL, Trace_ELBO


class Linear(Guide):
    """q(z|x) = N(A x, s^2 I), so that with Gaussian images every figure is known."""

    def __init__(self, matrix, scale):
        latent_dim = len(matrix)
        super().__init__(MLPEncoder(SHAPE, [1]), latent_dim, latent_dim)
        self.matrix, self.scale = matrix, scale

    def amortize(self, x):
        return x.flatten(1) @ self.matrix.T

    def posterior(self, lam):
        return dist.Normal(lam, self.scale).to_event(1)


def standard_images(n):
    return torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(0))


def test_active_units_are_those_whose_mean_moves():
    matrix = torch.zeros(3, 9)
    matrix[0, 0], matrix[1, 1] = 1.0, 0.2  # Cov of the means: 1, 0.04, 0
    found = active_units(Linear(matrix, 1.0), standard_images(5000), num_samples=50)
    torch.testing.assert_close(found.activity, torch.tensor([1.0, 0.04, 0.0], dtype=torch.double), atol=0.06, rtol=0)
    # With 50 draws the variance of one mean would be 1/50 too large, and the last dimension count as active
    assert found.activity[2].abs() < 0.005
    assert found.activity[1].item() == pytest.approx(0.04, abs=0.01)
    assert found.active.value == 2
    assert found.active.standard_error < 0.2
    assert not found.collapsed


@pytest.mark.parametrize("turned", [False, True])
def test_a_collapsed_direction_is_seen_in_any_coordinates(turned):
    """Three directions: one moved by images alone but for noise of sd 0.5, one by 0.3, one not: sum of l / (l + 0.25).

    Turned, every dimension is a mixture of the three, and all are active units.
    """
    matrix = torch.zeros(3, 9)
    matrix[0, 0], matrix[1, 1] = 1.0, 0.3
    if turned:
        matrix = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))[0] @ matrix
    found = active_units(Linear(matrix, 0.5), standard_images(5000))
    assert found.active.value == (3 if turned else 2)
    expected = 1 / 1.25 + 0.09 / 0.34
    assert found.directions.value == pytest.approx(expected, abs=4 * found.directions.standard_error)
    assert 0 < found.directions.standard_error < 0.02


def test_a_point_mass_moves_in_every_direction_it_has():
    """No posterior variance: as many directions as the points span, of more dimensions."""
    matrix = torch.zeros(3, 9)
    matrix[0, 0] = matrix[1, 1] = matrix[2, 1] = 1.0
    found = active_units(Linear(matrix, 1e-7), standard_images(50))
    assert found.directions.value == pytest.approx(2, abs=1e-6)


def test_a_guide_that_ignores_its_images_is_collapsed():
    found = active_units(Linear(torch.zeros(2, 9), 1.0), standard_images(500), num_samples=100)
    assert found.collapsed
    assert found.active.value == 0
    assert found.directions.value == pytest.approx(0, abs=4 * found.directions.standard_error)


def test_a_narrow_posterior_of_small_means_has_no_active_unit_but_all_its_directions():
    """q = N(0.05 x, 1e-4^2): Cov of the means is 0.0025, below the threshold, and the images decide all of z."""
    found = active_units(Linear(0.05 * torch.eye(9)[:2], 1e-4), standard_images(500))
    assert found.collapsed
    assert found.activity.tolist() == pytest.approx([0.0025, 0.0025], rel=0.2)
    assert found.directions.value == pytest.approx(2, abs=1e-3)
    estimates = {"collapsed": replace(found.active, value=1.0), "active_directions": found.directions}
    assert "about 2 directions" in Units().sentences(estimates)[0]


def test_an_activity_on_the_threshold_has_an_uncertain_count():
    found = active_units(Linear(0.1 * torch.eye(9)[:5], 0.1), standard_images(100))
    assert found.active.standard_error > 0.5


def test_active_units_need_only_draws():
    model = linear_gaussian()
    x = simulate(model, 50)[0]
    assert active_units(Point(model), x).active.value == active_units(OwnSamplesOnly(model), x).active.value == 2
    with pytest.raises(ValueError, match="two images"):
        active_units(Scaled(model), x[:1])


def test_draws_come_in_the_shape_promised():
    model = linear_gaussian()
    x, z = simulate(model, 6)
    assert z.shape == (6, 2)
    draws = posterior_draws(Scaled(model), x, 4000)
    assert draws.shape == (4000, 6, 2)
    torch.testing.assert_close(draws.mean(0), model.exact_posterior(x).mean, atol=0.05, rtol=0)


def test_the_kl_of_each_dimension_is_the_closed_form():
    model, x = linear_gaussian(), standard_images(200)
    matrix = 0.5 * torch.eye(9)[:2]
    found = kl_of_dimensions(model, Linear(matrix, 0.7), x)
    means = x.flatten(1)[:, :2] * 0.5
    truth = kl_divergence(Normal(means, 0.7), Normal(0.0, 1.0)).mean(0)
    assert [e.value for e in found] == pytest.approx(truth.tolist(), rel=1e-5)


def test_dependent_dimensions_have_no_kl_of_their_own():
    model, x = linear_gaussian(), standard_images(3)
    with pytest.raises(NotDefined, match="independent dimensions"):
        kl_of_dimensions(model, FullRank(MLPEncoder(SHAPE, [4]), 2), x)
    with pytest.raises(NotDefined, match="density"):
        kl_of_dimensions(model, Point(model), x)


def test_mutual_information_and_marginal_kl_are_the_closed_forms():
    model, x = linear_gaussian(), standard_images(1500)
    matrix, scale = torch.tensor([[0.8] + [0.0] * 8, [0.3, 0.3] + [0.0] * 7]), 0.6
    found = aggregate_posterior(model, Linear(matrix, scale), x, num_samples=5)
    # x ~ N(0, I) gives q(z) = N(0, A A^T + s^2 I)
    covariance = matrix @ matrix.T + scale**2 * torch.eye(2)
    information = (covariance / scale**2).logdet().item() / 2
    prior = MultivariateNormal(torch.zeros(2), torch.eye(2))
    marginal = kl_divergence(MultivariateNormal(torch.zeros(2), covariance), prior).item()
    # the largest error left is that of 1,500 images
    assert found.mutual_information.value == pytest.approx(information, abs=4 * found.mutual_information.standard_error)
    assert found.marginal_kl.value == pytest.approx(marginal, abs=4 * found.marginal_kl.standard_error)
    assert found.mutual_information.standard_error < 0.02
    assert found.kl.value == pytest.approx(found.mutual_information.value + found.marginal_kl.value, abs=1e-9)
    assert [f.bound for f in found[1:]] == ["lower", "upper", "upper", "lower"]
    assert found.marginal_kl_lower.value < marginal < found.marginal_kl.value + 2 * found.marginal_kl.standard_error


def test_mutual_information_is_at_most_log_n():
    """20 images know nothing of an information of 18 nats: the marginal KL lies between 0 and kl - log 20."""
    found = aggregate_posterior(linear_gaussian(), Linear(100 * torch.eye(9)[:2], 0.01), standard_images(20))
    ceiling = torch.tensor(20.0).log().item()
    assert found.mutual_information.value == pytest.approx(ceiling, abs=1e-5)
    assert found.mutual_information_upper.value > 18
    assert found.marginal_kl.value == pytest.approx(found.kl.value - ceiling, abs=1e-5)
    assert "kl - log 20, whatever q(z) is" in found.marginal_kl.estimator
    assert found.marginal_kl.standard_error is None
    assert (found.marginal_kl_lower.value, found.marginal_kl_lower.standard_error) == (0.0, None)


def test_the_bounds_of_the_aggregate_posterior_hold_the_truth_and_their_errors_are_those_of_repeats():
    """40 sets of 200 images of the case above, whose information is .657 and whose marginal KL is .134."""
    model, scale = linear_gaussian(), 0.6
    matrix = torch.tensor([[0.8] + [0.0] * 8, [0.3, 0.3] + [0.0] * 7])
    found = []
    for seed in range(40):
        x = torch.randn(200, *SHAPE, generator=torch.Generator().manual_seed(seed))
        found.append(aggregate_posterior(model, Linear(matrix, scale), x, num_samples=2, seed=seed))
    means = {name: sum(getattr(f, name).value for f in found) / 40 for name in found[0]._fields}
    assert means["mutual_information"] < 0.657 < means["mutual_information_upper"]
    assert means["marginal_kl_lower"] < 0.1345 < means["marginal_kl"]
    assert means["marginal_kl"] - means["marginal_kl_lower"] < 0.02
    for name in ("mutual_information", "marginal_kl"):
        spread = torch.tensor([getattr(f, name).value for f in found]).std().item()
        stated = sum(getattr(f, name).standard_error for f in found) / 40
        assert stated == pytest.approx(spread, rel=0.25)  # 40 repeats know a standard deviation to 11 %


def test_the_aggregate_posterior_scores_any_z():
    model, x = linear_gaussian(), standard_images(20)
    with pytest.raises(NotDefined, match="OwnSamplesOnly scores only its own samples"):
        aggregate_posterior(model, OwnSamplesOnly(model), x)
    with pytest.raises(NotDefined, match="has none"):
        aggregate_posterior(model, Point(model), x)


def test_mmd_is_nothing_at_the_prior_and_the_closed_form_away_from_it():
    x = standard_images(2000)
    # A A^T + s^2 I = I: the aggregate posterior is the prior
    same = mmd(linear_gaussian(), Linear(0.8 * torch.eye(9)[:2], 0.6), x)
    assert abs(same.value) < 4 * same.standard_error + 1e-3
    # q(z) = N(0, v I) in D = 2 under the kernel exp(-|d|^2 / 4): E k = (1 + (v + v') / 2)^-1
    v = 4.0
    apart = mmd(linear_gaussian(), Linear(2.0 * torch.eye(9)[:2], 1e-3), x)
    truth = 1 / (1 + v) + 1 / 2 - 2 / (1 + (v + 1) / 2)
    assert apart.value == pytest.approx(truth, abs=4 * apart.standard_error)
    assert apart.value > 10 * apart.standard_error
    assert mmd(linear_gaussian(), Point(linear_gaussian()), x[:100]).images == 100


def test_the_error_of_mmd_is_that_of_repeats():
    values, errors = [], []
    for seed in range(30):
        x = torch.randn(200, *SHAPE, generator=torch.Generator().manual_seed(seed))
        found = mmd(linear_gaussian(), Linear(2.0 * torch.eye(9)[:2], 1e-3), x, seed)
        values.append(found.value), errors.append(found.standard_error)
    # 30 repeats know a standard deviation to 13 %
    assert sum(errors) / 30 == pytest.approx(torch.tensor(values).std().item(), rel=0.45)


@pytest.fixture
def trained():
    torch.manual_seed(0)
    model = linear_gaussian()
    return model, MeanField(MLPEncoder(SHAPE, [4]), 2), simulate(model, 16)[0]


def test_the_gradient_is_that_of_autograd(trained):
    model, guide, x = trained
    found = gradient_quality(model, guide, x, Trace_ELBO(), repeats=1500)
    # by hand: reparameterised draws, one gradient each
    parameters = list(guide.parameters())
    torch.manual_seed(5)
    gradients = []
    for _ in range(1500):
        q = guide.posterior(guide.amortize(x))
        z = q.rsample()
        bound = (model.log_joint(x, z) - q.log_prob(z)).mean()
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(bound, parameters)]))
    g = torch.stack(gradients).double()
    variance = g.var(0).sum().item()
    squared_norm = g.mean(0).square().sum().item() - variance / 1500
    snr = (g.mean(0).abs() / g.std(0))[g.std(0) > 0].mean().item()
    assert found.variance.value == pytest.approx(variance, rel=0.1)
    assert found.squared_norm.value == pytest.approx(squared_norm, rel=0.05)
    assert found.snr.value == pytest.approx((squared_norm / variance) ** 0.5, rel=0.06)
    assert found.parameter_snr.value == pytest.approx(snr, rel=0.06)


def test_particles_divide_the_variance_and_leave_the_mean(trained):
    model, guide, x = trained
    one = gradient_quality(model, guide, x, Trace_ELBO(), repeats=600)
    many = gradient_quality(model, guide, x, Trace_ELBO(num_particles=16), repeats=600)
    ratio = one.variance.value / many.variance.value
    assert ratio == pytest.approx(16, rel=0.2)
    assert many.snr.value / one.snr.value == pytest.approx(4, rel=0.1)
    assert one.squared_norm.value == pytest.approx(many.squared_norm.value, rel=0.1)


def test_sticking_the_landing_has_no_variance_at_the_exact_posterior():
    class Learned(Scaled):
        """The exact posterior, with a shift that could be learned."""

        def __init__(self, model):
            super().__init__(model)
            self.shift = torch.nn.Parameter(torch.zeros(2))

        def amortize(self, x):
            return super().amortize(x) + self.shift

    torch.manual_seed(0)
    model = linear_gaussian()
    x = simulate(model, 16)[0]
    still = gradient_quality(model, Learned(model), x, STL(), repeats=20)
    noisy = gradient_quality(model, Learned(model), x, Trace_ELBO(), repeats=20)
    assert still.variance.value < 1e-8
    assert noisy.variance.value > 1e-2


def test_the_jackknife_error_is_that_of_repeats(trained):
    model, guide, x = trained
    found = [gradient_quality(model, guide, x, Trace_ELBO(), repeats=60, seed=s) for s in range(25)]
    for name in ("variance", "snr"):
        spread = torch.tensor([getattr(f, name).value for f in found]).std().item()
        stated = sum(getattr(f, name).standard_error for f in found) / 25
        assert stated == pytest.approx(spread, rel=0.6)


def test_the_ratio_of_each_parameter_is_not_lifted_by_noise(trained):
    """Of 100 repeats of a nearly converged guide: uncorrected it is 14 % above that of 8,000, more than its error."""
    model, guide, x = trained
    adam = torch.optim.Adam(guide.parameters(), 1e-2)
    torch.manual_seed(2)
    for _ in range(300):
        adam.zero_grad()
        Trace_ELBO().differentiable_loss(model, guide, x).backward()
        adam.step()
    truth = gradient_quality(model, guide, x, Trace_ELBO(), repeats=8000, seed=1000).parameter_snr.value
    found = [gradient_quality(model, guide, x, Trace_ELBO(), seed=s).parameter_snr for s in range(40)]
    values = torch.tensor([f.value for f in found])
    errors = torch.tensor([f.standard_error for f in found])
    assert values.mean().item() == pytest.approx(truth, rel=0.08)
    assert errors.mean().item() == pytest.approx(values.std().item(), rel=0.4)
    assert ((values - truth).abs() < 2 * errors).double().mean() >= 0.85


def test_gradients_need_repeats_and_parameters(trained):
    model, guide, x = trained
    with pytest.raises(ValueError, match="at least 4 repeats"):
        gradient_quality(model, guide, x, Trace_ELBO(), repeats=3)
    with pytest.raises(ValueError, match="no parameters"):
        gradient_quality(model, guide.requires_grad_(False), x, Trace_ELBO())
