"""Forms that a wrapped program may have: factors, scales, weights by an autoguide, several draws, whole numbers."""

import math

import pyro
import pyro.distributions as dist
import pyro.infer
import pytest
import torch
from programs.pairs import Shared
from pyro import poutine
from pyro.infer.autoguide import AutoNormal
from torch import nn

import pyro_vae
from pyro_vae import estimators
from pyro_vae.errors import InputError
from pyro_vae.estimators import NotDefined
from pyro_vae.objectives import Trace_ELBO


def model(x):
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("obs", dist.Normal(z, 1.0), obs=x)


def guide(x):
    with pyro.plate("data", len(x)):
        pyro.sample("z", dist.Normal(x / 2, 0.5**0.5))


def test_a_factor_in_the_plate_of_the_rows_counts_in_each_draw():
    def tilted(x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.sample("obs", dist.Normal(z, 1.0), obs=x)
            pyro.factor("tilt", -(z**2) / 2)

    def exact(x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(x / 3, 3**-0.5))

    x = torch.randn(20)
    expected = -math.log(2 * math.pi) + math.log(2 * math.pi / 3) / 2 - x**2 / 3
    found = estimators.elbo(*pyro_vae.wrap(tilted, exact), x, 100).elbo
    torch.testing.assert_close(found.per_image, expected.double(), atol=1e-5, rtol=1e-5)


def scaled(scale):
    def in_pixels(x):
        with pyro.plate("data", len(x), dim=-2):
            z = pyro.sample("z", dist.Normal(torch.zeros(len(x), 1), 1.0))
            with pyro.plate("pixels", x.shape[1], dim=-1), poutine.scale(scale=scale(x)):
                pyro.sample("obs", dist.Normal(z, 1.0), obs=x)

    return in_pixels


def of_pixels(x):
    with pyro.plate("data", len(x), dim=-2):
        pyro.sample("z", dist.Normal(x.mean(1, keepdim=True) / 2, 1.0))


@pytest.mark.parametrize("rows", [4, 5])
def test_a_scale_of_each_row_beside_a_plate_of_pixels_is_pyros(rows):
    x, program = torch.randn(rows, 4), scaled(lambda x: x[:, :1].exp())
    pair = pyro_vae.wrap(program, of_pixels, x)
    torch.manual_seed(1)
    found = Trace_ELBO().loss(*pair, x)
    torch.manual_seed(1)
    assert found == pytest.approx(pyro.infer.Trace_ELBO(max_plate_nesting=2).loss(program, of_pixels, x), rel=1e-5)


def test_a_scale_of_each_pixel_is_refused_in_one_line_and_not_taken_for_one_of_each_row():
    x = torch.randn(4, 4)  # as many pixels as rows
    with pytest.raises(InputError, match="a scale for each part of a row") as error:
        pyro_vae.wrap(scaled(lambda _: torch.arange(4.0)), of_pixels, x)
    assert "\n" not in str(error.value)


def test_weights_that_an_autoguide_draws_stay_at_its_median():
    def shared(x):
        slope = pyro.sample("slope", dist.LogNormal(0.0, 1.0))
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.sample("obs", dist.Normal(slope * z, 1.0), obs=x)

    pyro.clear_param_store()
    of_slope = AutoNormal(poutine.block(shared, hide=["z", "obs"]), init_scale=1.0)

    def both(x):
        of_slope(x)
        guide(x)

    x = torch.randn(30)
    pair = pyro_vae.wrap(shared, both, x)
    slope = of_slope.median(x)["slope"]
    expected = dist.Normal(0.0, (1 + slope**2).sqrt()).log_prob(x).mean().item()
    assert estimators.log_evidence(*pair, x).value == pytest.approx(expected, abs=0.02)


def test_a_weight_that_all_draws_share_counts_once_in_the_mean_over_draws():
    shared, x = Shared(), torch.randn(30)

    def far(x):
        pyro.sample("slope", dist.Normal(50.0, 0.01))
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(0.0 * x, 1e-4))

    pair = pyro_vae.wrap(shared.model, far, x)
    pair.model.train(), pair.guide.train()
    one, ten = (Trace_ELBO(num_particles=count).loss(*pair, x) for count in (1, 10))
    pyros = pyro.infer.Trace_ELBO(max_plate_nesting=1).loss(shared.model, far, x)
    assert (one, ten) == pytest.approx((pyros, pyros), rel=2e-2)  # the KL of the weight is most of it


def test_a_weight_that_only_the_model_draws_is_named():
    pair = pyro_vae.wrap(Shared().model, guide, torch.randn(10))
    with pytest.raises(InputError, match="the guide has no site 'slope'"):
        pair.model.log_joint(torch.randn(10), torch.zeros(10, 1))


def test_rows_of_whole_numbers_whose_first_ones_are_equal():
    table = nn.Embedding(5, 2)

    def counts(x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Gamma(2.0, 1.0))
            pyro.sample("obs", dist.Poisson(z), obs=x.float())

    def looked_up(x):
        pyro.module("table", table)
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Gamma(*table(x).exp().unbind(-1)))

    x = torch.tensor([0, 0, 0, 0, 1, 2, 3, 4, 0, 1])
    pair = pyro_vae.wrap(counts, looked_up, x)
    q = pair.guide.posterior(pair.guide.amortize(x))
    z = q.sample(torch.Size([5]))
    natural = dist.Gamma(*table(x).exp().unbind(-1)).log_prob(z[..., 0].exp()) + z[..., 0]
    torch.testing.assert_close(q.log_prob(z), natural)


def test_rows_of_another_rank_are_refused():
    pair = pyro_vae.wrap(model, guide, torch.randn(10))
    with pytest.raises(InputError, match="rows of shape"):
        pair.features(torch.randn(10, 1))


def test_a_guide_without_parameters_has_no_gradient_to_judge():
    found = pyro_vae.wrap(model, guide).evaluate(torch.randn(40), metrics=["gradient"], quiet=True)
    assert "no parameters" in found.not_defined["gradient"]
    with pytest.raises(NotDefined, match="no parameters"):
        estimators.gradient_quality(*pyro_vae.wrap(model, guide), torch.randn(40), Trace_ELBO())
