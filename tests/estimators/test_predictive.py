"""Predictive checks against closed forms of a linear-Gaussian model."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from estimator_cases import Scaled, linear_gaussian
from scipy import integrate, stats

from pyro_vae.estimators import posterior_check, prior_check, simulate
from pyro_vae.estimators.predictive import mean_of_pixels, roughness, row_quantities, spread_of_pixels
from pyro_vae.seeds import seeded


@pytest.fixture(scope="module")
def case():
    model = linear_gaussian(3)
    with seeded(3):
        x, _ = simulate(model, 1500)
    return model, x


def outside_after_seeing(model, num_samples):
    """The share outside the central 90 % for the mean pixel: its residual and its replicates are Gaussians."""
    weight = model.decoder.output.weight.double()
    covariance = model.exact_posterior(torch.zeros(1, 1, 3, 3)).covariance_matrix[0].double()
    noise = 0.25 * torch.eye(9).double()
    average = torch.full((9,), 1 / 9).double()
    replicate = average @ (weight @ covariance @ weight.T + noise) @ average
    left = torch.eye(9).double() - weight @ covariance @ weight.T / 0.25
    residual = average @ (left @ (weight @ weight.T + noise) @ left.T) @ average
    ratio = (residual / replicate).sqrt().item()
    tail = 0.05 * (num_samples + 1) - 1  # ranks up to this one are outside

    def density(t):
        return stats.norm.pdf(t) * stats.binom.cdf(tail, num_samples, stats.norm.cdf(ratio * t))

    return 2 * integrate.quad(density, -8, 8)[0]


def test_images_of_the_model_pass_the_prior_check(case):
    model, x = case
    found = prior_check(model, x)
    assert found.test.p_value > 1e-3
    for share in found.outside:
        assert share.value == pytest.approx(0.1, abs=4 * (0.09 / 1500) ** 0.5)
    assert found.test.names == ("mean of pixels", "spread of pixels", "roughness")


def test_images_that_are_too_bright_fail_it(case):
    model, x = case
    found = prior_check(model, x + 1)
    assert found.test.p_values[0] < 1e-10
    # the mean of pixels has variance a: it is moved by 1
    weight = model.decoder.output.weight
    spread = (weight.mean(0).square().sum() + 0.25 / 9).sqrt().item()
    high, low = (stats.norm.sf(1.645 + sign / spread) for sign in (-1, 1))
    assert found.outside[0].value == pytest.approx(high + low, abs=0.05)
    # contrast and roughness do not change with brightness
    assert found.test.p_values[2] > 1e-3


def test_the_posterior_check_has_seen_the_image_as_the_closed_form_says(case):
    model, x = case
    found = posterior_check(model, Scaled(model), x)
    expected = outside_after_seeing(model, 99)
    assert found.outside[0].value == pytest.approx(expected, abs=4 * (expected / 1500) ** 0.5)
    assert expected < 0.05  # less than the 0.1 of data that q has not seen


def test_a_decoder_that_has_too_little_noise_fails_the_posterior_check(case):
    model, x = case
    with seeded(0):
        noisy = x + torch.randn_like(x)
    assert posterior_check(model, Scaled(model), noisy).outside[1].value > 0.3
    assert posterior_check(model, Scaled(model), x).outside[1].value < 0.1


def test_own_quantities_and_what_they_must_give(case):
    model, x = case
    found = prior_check(model, x[:100], {"corner": lambda images: images[:, 0, 0, 0]}, 19, seed=1)
    assert found.test.names == ("corner",)
    assert found.test.p_value > 1e-3
    with pytest.raises(ValueError, match="not a number each"):
        prior_check(model, x[:10], {"all": lambda images: images})


def test_the_quantities_are_what_they_say():
    x = torch.tensor([[[[0.0, 1.0], [1.0, 0.0]]]])
    assert mean_of_pixels(x).item() == pytest.approx(0.5)
    assert spread_of_pixels(x).item() == pytest.approx(x.std().item())
    assert roughness(x).item() == pytest.approx(1.0)
    assert roughness(torch.ones(2, 1, 3, 3)).tolist() == [0, 0]


def test_images_with_missing_pixels_are_compared_with_images_that_lack_the_same_pixels(case):
    model, x = case
    with seeded(4):
        holes = torch.rand_like(x) < 0.4
    holed = x.masked_fill(holes, torch.nan)
    found = prior_check(model, holed)
    assert found.test.p_value > 1e-3
    for share in found.outside:
        assert share.value == pytest.approx(0.1, abs=4 * (0.09 / 1500) ** 0.5)
    assert prior_check(model, holed + 1).test.p_values[0] < 1e-10
    seen = [image[~image.isnan()] for image in holed.double()]
    expected = [[values.mean() if len(values) else torch.nan for values in seen]]
    torch.testing.assert_close(mean_of_pixels(holed), torch.tensor(expected[0]).double(), equal_nan=True)
    expected = torch.tensor([values.std() if len(values) > 1 else torch.nan for values in seen]).double()
    torch.testing.assert_close(spread_of_pixels(holed), expected, equal_nan=True)


def test_a_quantity_that_has_no_value_is_a_tie_and_rows_may_be_one_number():
    def one_number(x=None, n=None):
        with pyro.plate("data", n if x is None else len(x)):
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            return pyro.sample("x", dist.Normal(z, 1.0), obs=x)

    x = 2**0.5 * torch.randn(400, generator=torch.Generator().manual_seed(0))
    found = prior_check(one_number, x)
    assert found.test.p_value > 1e-3
    assert mean_of_pixels(torch.tensor([1.0, 2.0])).tolist() == [1.0, 2.0]
    assert roughness(torch.tensor([1.0, 2.0])).isnan().all()


def rows_of(correlation, tall=1.0, shift=0.0):
    """A model of rows ``(N, 1, 1, 2)``: two standard normals, the second in units that ``tall`` and ``shift`` give."""
    cholesky = torch.linalg.cholesky(torch.tensor([[1.0, correlation], [correlation, 1.0]]))

    def model(x=None, n=None):
        with pyro.plate("data", n if x is None else len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            rows = torch.stack([(z @ cholesky.T)[..., 0], tall * (z @ cholesky.T)[..., 1] + shift], -1)
            return pyro.sample("x", dist.Delta(rows[..., None, None, :], event_dim=3), obs=x)

    with seeded(1):
        return model, simulate(model, 400)[0]


def test_the_columns_of_a_row_have_no_say_by_their_units():
    found = {}
    for tall, shift in ((1.0, 0.0), (1e5, 3e5)):
        model, x = rows_of(0.5, tall, shift)
        found[tall] = prior_check(model, x, row_quantities(x)).test
    assert found[1.0].names == ("mean of columns", "spread of columns")
    assert found[1.0].p_values.min() > 1e-3
    torch.testing.assert_close(found[1.0].ranks, found[1e5].ranks, atol=1, rtol=0)
    assert list(row_quantities(torch.randn(5))) == ["mean of columns"]


def test_rows_of_the_right_columns_and_the_wrong_dependence_are_found():
    _, x = rows_of(0.9)
    model, _ = rows_of(-0.5)
    x[0, 0, 0, 0] = torch.nan
    assert (prior_check(model, x, row_quantities(x)).test.p_values < 1e-6).all()
