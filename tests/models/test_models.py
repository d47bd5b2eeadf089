"""Models and their parts against independent formulas."""

import math
from math import prod

import numpy as np
import pyro
import pytest
import torch
from closed_forms import linear_gaussian
from completeness import missing_lines
from pyro import poutine
from scipy import integrate, stats

from pyro_vae import models
from pyro_vae.models import (
    VAE,
    Bernoulli,
    BetaBinomial,
    Categorical,
    Columns,
    ContinuousBernoulli,
    ConvDecoder,
    Decoder,
    DiscretizedLogistic,
    Gaussian,
    Likelihood,
    LinearDecoder,
    LinearGaussian,
    MLPDecoder,
    StandardNormal,
)

SHAPES = [(1, 8, 8), (1, 7, 5), (3, 9, 4), (1, 1, 1)]
LIKELIHOODS = {
    "Bernoulli": Bernoulli,
    "ContinuousBernoulli": ContinuousBernoulli,
    "Gaussian fixed": lambda shape: Gaussian(shape, 0.3),
    "Gaussian learned": lambda shape: Gaussian(shape, "learned"),
    "Gaussian decoded": lambda shape: Gaussian(shape, "decoded"),
    "Columns learned": Columns,
    "Columns decoded": lambda shape: Columns(shape, "decoded"),
    "Gaussian not squashed": lambda shape: Gaussian(shape, "decoded", squash=False),
    "logistic": lambda shape: DiscretizedLogistic(shape, 17),
    "logistic decoded": lambda shape: DiscretizedLogistic(shape, 17, "decoded"),
    "categorical": lambda shape: Categorical(shape, 5),
    "beta-binomial": lambda shape: BetaBinomial(shape, 17),
    "beta-binomial decoded": lambda shape: BetaBinomial(shape, 17, "decoded"),
}
#: channels of the decoder's output for each channel of an image, where they are not one
CHANNELS = {"categorical": 5}


def test_every_likelihood_that_is_found_is_listed():
    tested = {type(make((1, 2, 2))).__name__ for make in LIKELIHOODS.values()}
    assert not (missing := missing_lines(models.LIKELIHOODS, tested, "LIKELIHOODS")), missing


each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
each_likelihood = pytest.mark.parametrize("name", LIKELIHOODS)


def build(decoder: type[Decoder], likelihood: Likelihood, latent_dim: int = 3) -> VAE:
    torch.manual_seed(0)
    return VAE(decoder(latent_dim, likelihood.output_shape), likelihood, StandardNormal(latent_dim))


# The linear-Gaussian model against dense linear algebra.


@pytest.mark.parametrize("latent_dim", [1, 2, 7])
def test_evidence_is_the_dense_gaussian(latent_dim):
    torch.manual_seed(latent_dim)
    model = linear_gaussian(latent_dim, (2, 3, 1))
    x = model(n=9).detach()
    w, b = model.decoder.output.weight.detach().numpy(), model.decoder.output.bias.detach().numpy()
    expected = stats.multivariate_normal(b, w @ w.T + 0.6**2 * np.eye(6)).logpdf(x.flatten(1).numpy())
    np.testing.assert_allclose(model.log_evidence(x).detach().numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("latent_dim", [1, 2, 7])
def test_posterior_is_the_conditional_of_the_dense_joint(latent_dim):
    torch.manual_seed(latent_dim)
    model = linear_gaussian(latent_dim, (2, 3, 1))
    x = model(n=9).detach()
    w, b = model.decoder.output.weight.detach(), model.decoder.output.bias.detach()
    # The joint of (z, x) has covariance [[I, W'], [W, WW' + s^2 I]]; condition it on x.
    gain = w.T @ torch.linalg.inv(w @ w.T + 0.6**2 * torch.eye(6).double())
    q = model.exact_posterior(x)
    assert (q.batch_shape, q.event_shape) == ((9,), (latent_dim,))
    torch.testing.assert_close(q.mean.detach(), (x.flatten(1) - b) @ gain.T, rtol=1e-6, atol=1e-6)
    covariance = torch.eye(latent_dim).double() - gain @ w
    torch.testing.assert_close(q.covariance_matrix[0].detach(), covariance, rtol=1e-6, atol=1e-6)


def test_bayes_rule_holds_at_any_z():
    torch.manual_seed(0)
    model = linear_gaussian(2)
    x, z = model(n=4), torch.randn(3, 4, 2).double()
    log_evidence = model.log_joint(x, z) - model.exact_posterior(x).log_prob(z)
    torch.testing.assert_close(log_evidence, model.log_evidence(x).expand(3, 4))


def test_draws_have_the_models_mean_and_covariance():
    torch.manual_seed(0)
    model = linear_gaussian(2)
    x = model(n=100_000).detach().flatten(1)
    w, b = model.decoder.output.weight.detach(), model.decoder.output.bias.detach()
    covariance = w @ w.T + 0.36 * torch.eye(6).double()
    # Standard errors of a mean and of a covariance of Gaussians; 5 of them for 27 numbers.
    assert ((x.mean(0) - b).abs() < 5 * (covariance.diagonal() / len(x)).sqrt()).all()
    variances = covariance.diagonal()
    error = ((variances[:, None] * variances + covariance**2) / len(x)).sqrt()
    assert ((x.T.cov() - covariance).abs() < 5 * error).all()


@pytest.mark.parametrize(
    ("decoder", "likelihood"),
    [
        (MLPDecoder, Gaussian((1, 2, 2), 0.3, squash=False)),
        (LinearDecoder, Gaussian((1, 2, 2), 0.3)),
        (LinearDecoder, Gaussian((1, 2, 2), "decoded", squash=False)),
        (LinearDecoder, Bernoulli((1, 2, 2))),
    ],
    ids=["MLP", "squashed", "decoded", "Bernoulli"],
)
def test_what_is_not_linear_gaussian_is_refused(decoder, likelihood):
    with pytest.raises(ValueError, match="LinearGaussian is made of LinearDecoder"):
        LinearGaussian(decoder(2, likelihood.output_shape), likelihood, StandardNormal(2))


# Every model: log_joint is the density of the Pyro program, at any number of samples of z.


@each_shape
@each_likelihood
@pytest.mark.parametrize("decoder", [MLPDecoder, LinearDecoder, ConvDecoder])
def test_log_joint_is_the_pyro_programs(decoder, name, shape):
    model = build(decoder, LIKELIHOODS[name](shape))
    x, z = model(n=4).detach(), torch.randn(2, 4, 3)
    assert x.shape == (4, *shape)
    joint = model.log_joint(x, z)
    assert joint.shape == (2, 4)
    for one, expected in zip(z, joint, strict=True):
        trace = poutine.trace(poutine.condition(model, {"z": one})).get_trace(x)
        trace.compute_log_prob()
        log_prob = trace.nodes["z"]["log_prob"] + trace.nodes["x"]["log_prob"]
        torch.testing.assert_close(log_prob, expected, rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(trace.log_prob_sum(), expected.sum(), rtol=1e-5, atol=1e-3)
    # images of their own for each sample, and one z without a batch
    torch.testing.assert_close(model.log_joint(x.expand(2, *x.shape), z), joint)
    torch.testing.assert_close(model.log_joint(x[0], z[0, 0]), joint[0, 0], rtol=1e-5, atol=1e-4)


@each_shape
@each_likelihood
@pytest.mark.parametrize("decoder", [MLPDecoder, LinearDecoder, ConvDecoder])
def test_decoder_and_likelihood_shapes(decoder, name, shape):
    model = build(decoder, LIKELIHOODS[name](shape))
    two = "decoded" in name or name == "Gaussian not squashed"
    channels = CHANNELS.get(name, 2 if two else 1) * shape[0]
    wanted = (1, 1, 2 * prod(shape)) if name == "Columns decoded" else (channels, *shape[1:])
    assert model.likelihood.output_shape == wanted
    for batch in [(), (4,), (2, 4)]:
        output = model.decoder(torch.randn(*batch, 3))
        assert output.shape == (*batch, *wanted)
        p = model.likelihood(output)
        assert (p.batch_shape, p.event_shape) == (batch, shape)
    with pyro.plate("particles", 2, dim=-2):
        assert model(n=4).shape == (2, 4, *shape)


# Decoders.


@each_shape
@pytest.mark.parametrize("decoder", [MLPDecoder, LinearDecoder, ConvDecoder])
def test_a_decoder_starts_where_it_is_told(decoder, shape):
    torch.manual_seed(0)
    network, start = decoder(3, shape), torch.randn(shape)
    before = network(torch.zeros(3))
    network.start_at(torch.zeros(shape))
    at_zero = network(torch.zeros(3))
    network.start_at(start)
    torch.testing.assert_close(network(torch.zeros(3)) - at_zero, start, rtol=1e-4, atol=1e-5)
    assert before.shape == shape
    if decoder is LinearDecoder:  # nothing but the bias at z = 0
        torch.testing.assert_close(network(torch.zeros(3)), start)


@pytest.mark.parametrize("channels", [[8], [16, 8], [16, 8, 4]])
@each_shape
def test_every_pixel_of_a_conv_decoder_hears_z(channels, shape):
    torch.manual_seed(0)
    network = ConvDecoder(3, shape, channels, activation="tanh").double()
    z = torch.randn(3).double().requires_grad_()
    slopes = torch.stack([torch.autograd.grad(pixel, z, retain_graph=True)[0] for pixel in network(z).flatten()])
    assert (slopes.abs().sum(-1) > 0).all()
    for p in network.parameters():
        assert torch.autograd.grad(network(z).square().sum(), p)[0].abs().max() > 0


def test_a_conv_decoder_needs_three_dimensions():
    with pytest.raises(ValueError, match="channels x height x width"):
        ConvDecoder(2, (8, 8))
    for decoder in (MLPDecoder, LinearDecoder, ConvDecoder):
        with pytest.raises(ValueError, match="latent_dim must be at least 1"):
            decoder(0, (1, 8, 8))


# Likelihoods.


@each_shape
@each_likelihood
def test_initial_output_has_the_mean_image(name, shape):
    torch.manual_seed(0)
    likelihood = LIKELIHOODS[name](shape)
    darkest = 0.051 if name == "ContinuousBernoulli" else 0.001  # its logits begin within 20 of 0
    mean_image = torch.rand(shape) * (1 - 2 * darkest) + darkest
    output = likelihood.initial_output(mean_image)
    assert output.shape == likelihood.output_shape
    torch.testing.assert_close(likelihood(output).mean, mean_image, rtol=1e-4, atol=1e-5)
    assert likelihood.initial_output(torch.zeros(shape)).isfinite().all()  # a pixel that is always black
    assert likelihood.initial_output(torch.ones(shape)).isfinite().all()


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_bernoulli(value):
    logits = torch.linspace(-6, 6, 6).reshape(1, 3, 2)
    found = Bernoulli((1, 3, 2))(logits).log_prob(torch.full((1, 3, 2), value))
    p = 1 / (1 + np.exp(-logits.double().numpy()))
    np.testing.assert_allclose(found, np.log(p if value else 1 - p).sum(), rtol=1e-6)


@pytest.mark.parametrize("logit", [-200.0, -17.0, -3.0, -0.21, -0.19, 0.0, 1e-3, 0.5, 25.0, 100.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_continuous_bernoulli_integrates_to_one(logit, dtype):
    p = ContinuousBernoulli((1, 1, 1))(torch.full((1, 1, 1), logit, dtype=dtype))

    def density(x: float) -> float:
        return math.exp(p.log_prob(torch.full((1, 1, 1), x, dtype=dtype)).item())

    single = {"points": [0.01, 0.1, 0.5, 0.9, 0.99], "epsabs": 2e-5}  # quadrature of numbers in single precision
    assert integrate.quad(density, 0, 1, **single)[0] == pytest.approx(1, abs=5e-5)
    mean = integrate.quad(lambda x: x * density(x), 0, 1, **single)[0]
    assert p.mean.item() == pytest.approx(mean, abs=5e-5)
    assert density(0.9) / density(0.4) == pytest.approx(math.exp(0.5 * logit), rel=1e-4)


def test_continuous_bernoulli_is_smooth_where_its_series_ends():
    near = [0.2 - 1e-9, 0.2, -0.2, 0.2 + 1e-9]  # at 0.2 itself, clamp's gradient is halved
    logits = torch.tensor([-50.0, 0.0, 1e-6, *near, 3.0], dtype=torch.double, requires_grad=True)
    p = ContinuousBernoulli((1, 1, 1))(logits.reshape(-1, 1, 1, 1))
    (slope,) = torch.autograd.grad(p.log_prob(torch.full((8, 1, 1, 1), 0.3).double()).sum(), logits)
    # An exponential family: the slope in the logit is x less the mean.
    torch.testing.assert_close(slope, 0.3 - p.mean.flatten().detach(), rtol=0, atol=1e-6)
    torch.manual_seed(0)
    samples = p.sample(torch.Size((50_000,)))
    assert ((samples >= 0) & (samples <= 1)).all()
    error = samples.std(0) / 50_000**0.5
    assert ((samples.mean(0) - p.mean).abs() < 5 * error).all()


def test_gaussian_scales():
    shape = (2, 3, 2)
    torch.manual_seed(0)
    x, output = torch.rand(shape).double(), torch.randn(shape).double()

    def by_hand(mean, scale) -> float:
        return stats.norm(mean, scale).logpdf(x.numpy()).sum()

    squashed = output.sigmoid().numpy()
    assert Gaussian(shape, 0.3)(output).log_prob(x).item() == pytest.approx(by_hand(squashed, 0.3), rel=1e-6)
    free = Gaussian(shape, 0.3, squash=False)
    assert free(output).log_prob(x).item() == pytest.approx(by_hand(output.numpy(), 0.3), rel=1e-6)
    assert [*free.parameters()] == []
    learned = Gaussian(shape, "learned", min_scale=0.02).double()
    with torch.no_grad():
        learned.log_scale.fill_(math.log(0.5))
    assert learned(output).log_prob(x).item() == pytest.approx(by_hand(squashed, 0.52), rel=1e-9)
    assert [*learned.parameters()] == [learned.log_scale]
    decoded = Gaussian(shape, "decoded", min_scale=0.02)
    log_variance = torch.randn(shape).double()
    found = decoded(torch.cat([output, log_variance])).log_prob(x).item()
    assert found == pytest.approx(by_hand(squashed, (log_variance / 2).exp().numpy() + 0.02), rel=1e-9)


def test_a_floor_holds_the_density_down():
    # At its mean a pixel's density is at most 1 / (floor sqrt(2 pi)), however small the decoder wants the scale.
    likelihood = Gaussian((1, 2, 2), "decoded", squash=False, min_scale=0.05)
    output = torch.cat([torch.zeros(1, 2, 2), torch.full((1, 2, 2), -200.0)])
    expected = -4 * math.log(0.05 * math.sqrt(2 * math.pi))
    assert likelihood(output).log_prob(torch.zeros(1, 2, 2)).item() == pytest.approx(expected, rel=1e-6)
    for wrong in ({"scale": 0.0}, {"scale": -1.0}, {"min_scale": 0.0}):
        with pytest.raises(ValueError, match="must be positive"):
            Gaussian((1, 2, 2), **wrong)


def test_data_that_a_likelihood_wants():
    assert Bernoulli((1, 1, 1)).binary
    assert not ContinuousBernoulli((1, 1, 1)).binary
    assert Bernoulli((1, 1, 1)).pixel_range == ContinuousBernoulli((1, 1, 1)).pixel_range == (0, 1)
    assert Gaussian((1, 1, 1)).pixel_range == (0, 1)
    assert Gaussian((1, 1, 1), squash=False).pixel_range is None


def test_the_prior_is_standard_normal():
    z = torch.randn(5, 3, dtype=torch.float64)
    p = StandardNormal(3).double()()
    assert (p.batch_shape, p.event_shape) == ((), (3,))
    np.testing.assert_allclose(p.log_prob(z), stats.norm.logpdf(z.numpy()).sum(-1))
