"""Likelihoods of the columns of a table: densities that sum to one in the columns' units, and missing values."""

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from scipy import integrate

from guides import MeanField, MLPEncoder
from guides.fed import Fed
from pyro_vae.columns import KINDS, Column, given_kinds
from pyro_vae.errors import InputError
from pyro_vae.estimators import log_evidence
from pyro_vae.models import VAE, Bernoulli, Columns, Gaussian, LinearDecoder, LinearGaussian, StandardNormal
from pyro_vae.objectives import IWAE, OBJECTIVES

NAN = float("nan")
COLUMNS = {
    "Gaussian": Column("a", "Gaussian", 50.0, 12.0),
    "StudentT": Column("b", "StudentT", -3.0, 0.2),
    "LogNormal": Column("c", "LogNormal", 1.5, 0.6),
    "Bernoulli": Column("d", "Bernoulli", 0.3, 0.45),
    "Categorical": Column("e", "Categorical", levels=(1.0, 2.0, 7.0), shares=(0.2, 0.5, 0.3)),
    "Poisson": Column("f", "Poisson", 4.0, 2.2),
    "NegativeBinomial": Column("g", "NegativeBinomial", 6.0, 5.0),
}
EVERY = [*COLUMNS.values(), Column("two levels", "Categorical", levels=(0.0, 5.0), shares=(0.9, 0.1))]
WHOLE = {"Bernoulli": range(2), "Categorical": (1, 2, 7), "Poisson": range(200), "NegativeBinomial": range(3000)}
each_scale = pytest.mark.parametrize("scale", ["learned", "decoded"])


def test_every_kind_is_tested():
    assert set(COLUMNS) == set(KINDS)


@each_scale
@pytest.mark.parametrize("kind", KINDS)
def test_each_density_sums_or_integrates_to_one_in_the_columns_units(kind, scale):
    torch.manual_seed(3)
    likelihood = Columns((1, 1, 1), scale, columns=[COLUMNS[kind]]).double()
    p = likelihood(0.5 * torch.randn(likelihood.output_shape, dtype=torch.float64))

    def density(x):
        return p.log_prob(torch.tensor(float(x), dtype=torch.float64).reshape(1, 1, 1)).exp().item()

    if kind in WHOLE:
        values = list(WHOLE[kind])
        mass = np.array([density(x) for x in values])
        found, mean = mass.sum(), (mass * values).sum()
    else:
        low, high = (0, np.inf) if kind == "LogNormal" else (-np.inf, np.inf)
        middle = p.mean.item()
        halves = [(low, middle), (middle, high)]
        found = sum(integrate.quad(density, *half)[0] for half in halves)
        mean = sum(integrate.quad(lambda x: x * density(x), *half)[0] for half in halves)
    assert found == pytest.approx(1, abs=1e-5)
    assert mean == pytest.approx(p.mean.item(), rel=1e-3)


@each_scale
def test_a_row_is_the_sum_of_its_columns_and_draws_have_their_moments(scale):
    torch.manual_seed(0)
    likelihood = Columns((1, 1, len(EVERY)), scale, columns=EVERY)
    output = likelihood.initial_output(torch.tensor([55.0, -3.1, 5.0, 0.3, 3.3, 5.0, 7.0, 0.5]).reshape(1, 1, -1))
    p = likelihood(output)
    mean = p.mean.flatten()
    assert mean[[0, 1, 2, 3, 5, 6]].tolist() == pytest.approx([55.0, -3.1, 5.0, 0.3, 5.0, 7.0], rel=1e-3)
    assert mean[[4, 7]].tolist() == pytest.approx([0.2 + 1.0 + 2.1, 0.5], rel=1e-4)  # the shares' own
    x = p.sample((50_000,)).double()
    error = (x.mean(0) - p.mean).abs() / p.variance.sqrt()
    assert error.max() < 0.03
    assert ((x.var(0) / p.variance) - 1).abs()[..., [0, 3, 4, 5, 6, 7]].max() < 0.05
    alone = sum(
        likelihood(output).log_prob(torch.where(torch.arange(len(EVERY)) == i, x[:5].float(), NAN))
        for i in range(len(EVERY))
    )
    torch.testing.assert_close(p.log_prob(x[:5].float()), alone, rtol=1e-5, atol=1e-5)
    assert x[:, 0, 0, 4].unique().tolist() == [1, 2, 7]
    assert p.log_prob(x[:1].float() + torch.eye(len(EVERY))[4]) == -torch.inf  # no such level


def test_nats_depend_on_the_units_and_not_on_the_standardisation():
    """Gaussian columns: the density of 10 x is a tenth; the standardisation cancels, its Jacobian included."""
    x = torch.randn(4, 1, 1, 2)
    one = Columns((1, 1, 2), columns=[Column("a"), Column("b")])
    large = Columns((1, 1, 2), columns=[Column("a", scale=10.0), Column("b", scale=10.0)])
    output = torch.randn(4, 1, 1, 2)
    torch.testing.assert_close(one(output).log_prob(x) - 2 * np.log(10), large(output).log_prob(10 * x))
    by_hand = dist.Normal(output, 1.0).log_prob(x).sum((-1, -2, -3))
    torch.testing.assert_close(one(output).log_prob(x), by_hand, rtol=1e-4, atol=1e-4)


def linear(columns=None, missing=True):
    """A linear-Gaussian model of 5 values in double, with missing values allowed."""
    shape = (1, 1, 5)
    likelihood = Gaussian(shape, 0.6, squash=False) if columns is None else Columns(shape, columns=columns)
    likelihood.allows_missing = missing
    model = (LinearGaussian if columns is None else VAE)(LinearDecoder(2, shape), likelihood, StandardNormal(2))
    return model.double()


def with_holes(x):
    """The same rows with a hole, with one value left, and with nothing seen."""
    x = x.clone()
    x[0, ..., 2], x[1, ..., :4], x[2] = NAN, NAN, NAN
    return x


def closed_form(weight, bias, scale, x):
    """log p of what is seen in each row, by dense linear algebra."""
    found = []
    for row in x.flatten(1):
        seen = ~row.isnan()
        if not seen.any():
            found.append(torch.zeros((), dtype=x.dtype))
            continue
        cov = weight[seen] @ weight[seen].T + torch.diag(scale[seen] ** 2)
        found.append(dist.MultivariateNormal(bias[seen], cov).log_prob(row[seen]))
    return torch.stack(found)


def test_a_linear_model_with_missing_entries_has_the_closed_form():
    model = linear()
    x = with_holes(model(n=6))
    weight, bias, scale = model._parts()
    wanted = closed_form(weight, bias, scale.expand(5), x)
    torch.testing.assert_close(model.log_evidence(x), wanted)
    # Bayes' rule holds at any z: log p(z|x) = log p(x, z) - log p(x)
    z = torch.randn(3, 6, 2, dtype=torch.float64)
    torch.testing.assert_close(model.exact_posterior(x).log_prob(z), model.log_joint(x, z) - wanted)
    complete = model(n=4)  # whose closed form is another one
    half = torch.cat([complete, torch.full_like(complete[:1], NAN)])
    torch.testing.assert_close(model.log_evidence(half)[:4], model.log_evidence(complete))
    posteriors = [model.exact_posterior(rows).mean[:4] for rows in (half, complete)]
    torch.testing.assert_close(*posteriors)


def guide_of(model, mask=False):
    inputs = model.likelihood.encoder_inputs(mask)
    return MeanField(Fed(inputs, MLPEncoder(inputs.output_shape, [8])), 2).double()


def test_estimated_log_p_of_a_table_with_missing_entries_is_the_closed_form():
    """Gaussian columns with standard deviations of their own are factor analysis, in the columns' units."""
    columns = [Column(str(i), centre=10.0 * i, scale=1.0 + i) for i in range(5)]
    model = linear(columns).eval()
    x = with_holes(model(n=4))
    own = torch.tensor([c.scale for c in columns], dtype=torch.float64)
    weight, bias = model.decoder.output.weight, model.decoder.output.bias
    centre = torch.tensor([c.centre for c in columns], dtype=torch.float64)
    deviation = own * (torch.nn.functional.softplus(torch.tensor(0.5413248)) * 0.95 + 0.05)
    wanted = closed_form(own[:, None] * weight, centre + own * bias, deviation, x)
    found = log_evidence(model, guide_of(model), x, seed=0)
    assert found.per_image is not None
    assert found.per_image_error is not None
    assert found.per_image_error.max() < 0.1
    assert ((found.per_image - wanted).abs() < 4 * found.per_image_error + 0.01).all()
    assert wanted[2] == 0  # nothing is seen


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_no_gradient_comes_from_what_is_missing(name):
    """Terms, loss and gradient are those of the model of the columns that are seen."""
    torch.manual_seed(0)
    model = linear([Column(str(i)) for i in range(5)])
    guide = guide_of(model)
    x = with_holes(model(n=6))
    objective = OBJECTIVES[name]()
    loss = objective.differentiable_loss(model, guide, x)
    loss.backward()
    gradients = [p.grad.clone() for p in (*model.parameters(), *guide.parameters()) if p.grad is not None]
    assert loss.isfinite()
    assert gradients
    assert all(g.isfinite().all() for g in gradients)
    # a row without a value says nothing about the decoder
    model.zero_grad()
    objective.differentiable_loss(model, guide, x[2:3]).backward()
    assert not model.decoder.output.weight.grad.any()
    assert objective.terms.log_likelihood.eq(0).all()


def test_many_columns_that_are_missing_are_as_if_they_were_not_there():
    columns = [Column(str(i)) for i in range(5)]
    model, few = (
        linear(columns),
        VAE(LinearDecoder(2, (1, 1, 2)), Columns((1, 1, 2), columns=columns[:2]), StandardNormal(2)).double(),
    )
    few.decoder.output.weight.data = model.decoder.output.weight.data[:2]
    few.decoder.output.bias.data = model.decoder.output.bias.data[:2]
    x = model(n=7)
    x[..., 2:] = NAN
    z = torch.randn(7, 2, dtype=torch.float64)
    torch.testing.assert_close(model.log_joint(x, z), few.log_joint(x[..., :2], z))
    guide = guide_of(model)
    iwae = IWAE(3)
    torch.manual_seed(1)
    iwae.loss(model, guide, x)
    torch.manual_seed(1)
    other = IWAE(3)
    other.loss(few, lambda y: guide(x), x[..., :2])
    torch.testing.assert_close(iwae.bound, other.bound)


def test_bernoulli_images_with_missing_pixels_and_complete_ones():
    shape = (1, 2, 2)
    plain, holed = Bernoulli(shape), Bernoulli(shape)
    holed.allows_missing = True
    output, x = torch.randn(5, *shape), torch.bernoulli(torch.full((5, *shape), 0.5))
    assert torch.equal(holed(output).log_prob(x), plain(output).log_prob(x))
    x[0, 0, 0, 1] = NAN
    of_pixels = dist.Bernoulli(logits=output).log_prob(x.nan_to_num())
    of_pixels[0, 0, 0, 1] = 0
    torch.testing.assert_close(holed(output).log_prob(x), of_pixels.sum((-1, -2, -3)))
    assert plain.encoder_inputs(False) is None


def test_the_encoder_sees_numbers_around_zero_one_hot_levels_and_the_mask():
    columns = [COLUMNS["Gaussian"], COLUMNS["LogNormal"], COLUMNS["Categorical"]]
    x = torch.tensor([[62.0, float(np.exp(2.1)), 7.0], [NAN, NAN, NAN], [50.0, NAN, 2.0]]).reshape(3, 1, 1, 3)
    likelihood = Columns((1, 1, 3), columns=columns)
    seen = likelihood.encoder_inputs(False)(x)
    wanted = [[1, 1, 0, 0, 1], [0, 0, 0, 0, 0], [0, 0, 0, 1, 0]]
    torch.testing.assert_close(seen.reshape(3, 5), torch.tensor(wanted, dtype=torch.float32))
    told = likelihood.encoder_inputs(True)
    assert told(x).reshape(3, 8)[:, 5:].tolist() == [[1, 1, 1], [0, 0, 0], [1, 0, 1]]
    assert told.output_shape == (1, 1, 8)


def test_options_that_make_no_table_are_refused():
    with pytest.raises(ValueError, match="min_scale must be positive"):
        Columns((1, 1, 2), min_scale=0)
    with pytest.raises(ValueError, match="1 columns for rows of 2"):
        Columns((1, 1, 2), columns=[Column("a")])
    for text, words in (("a", "NAME=KIND"), ("a=Gauss", "nearest are Gaussian"), ("=Gaussian", "NAME=KIND")):
        with pytest.raises(InputError, match=words):
            given_kinds(text)
    assert given_kinds(None) == {}
