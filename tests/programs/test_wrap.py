"""An ordinary Pyro pair, wrapped: the same numbers as closed forms, and as the same pair written for this project."""

import math

import pyro
import pyro.distributions as dist
import pyro.infer
import pytest
import torch
from programs.pairs import (
    Pictures,
    Principal,
    TutorialVAE,
    chain_guide,
    chain_model,
    counts_evidence,
    counts_guide,
    counts_model,
)
from programs.quick import QUICK
from sklearn.datasets import load_digits
from torch import nn

import pyro_vae
from guides import Encoder, Guide
from pyro_vae import estimators
from pyro_vae.errors import InputError
from pyro_vae.estimators import Annealing, Evidence, LocalOptimization
from pyro_vae.models import VAE, Bernoulli, Decoder, StandardNormal
from pyro_vae.objectives import IWAE, Trace_ELBO


def digits(count: int) -> torch.Tensor:
    return torch.tensor(load_digits().images[:count] > 7).float()


class Networks(Decoder):
    """The tutorial's decoder as one of this project: it gives logits."""

    def __init__(self, of: nn.Module, latent_dim: int):
        super().__init__(latent_dim, (1, 8, 8))
        self.of = of

    def start_at(self, output):
        raise AssertionError("its weights are trained")

    def forward(self, z):
        return self.of.fc21(nn.functional.softplus(self.of.fc1(z))).unflatten(-1, (1, 8, 8))


class Features(Encoder):
    def __init__(self, out_features: int):
        super().__init__()
        self.out_features = out_features

    def forward(self, x):
        return x.flatten(1)


class Written(Guide):
    """The tutorial's guide as one of this project."""

    def __init__(self, of: nn.Module, latent_dim: int):
        super().__init__(Features(64), latent_dim, 2 * latent_dim)
        self.of = of

    def amortize(self, x):
        loc, scale = self.of(x)
        return torch.cat([loc, scale.log()], -1)

    def posterior(self, lam):
        loc, log_scale = lam.chunk(2, -1)
        return dist.Normal(loc, log_scale.exp()).to_event(1)


@pytest.fixture(scope="module")
def tutorial():
    """The tutorial's VAE, trained in plain Pyro."""
    with pyro.get_param_store().scope():
        pyro.set_rng_seed(0)
        vae = TutorialVAE()
        svi = pyro.infer.SVI(vae.model, vae.guide, pyro.optim.Adam({"lr": 1e-2}), pyro.infer.Trace_ELBO())
        for _ in range(40):
            for batch in digits(500).split(100):
                svi.step(batch)
    return vae


@pytest.fixture(scope="module")
def written(tutorial):
    """The same networks in this project's words."""
    with torch.random.fork_rng():
        model = VAE(Networks(tutorial.decoder, 4), Bernoulli((1, 8, 8)), StandardNormal(4)).eval()
        return model, Written(tutorial.encoder, 4).eval()


def test_the_tutorials_vae_in_five_lines_is_the_same_network_written_for_this_project(tutorial, written):
    x = digits(700)[500:540]

    pair = pyro_vae.wrap(tutorial.model, tutorial.guide)
    found = pair.evaluate(x, QUICK, quiet=True)

    own, images = written, x[:, None]
    z = torch.randn(7, 40, 4)
    assert torch.allclose(pair.model.log_joint(x, z), own[0].log_joint(images, z), atol=1e-4, rtol=1e-5)
    assert found["elbo"].value == pytest.approx(estimators.elbo(*own, images, 100).elbo.value, abs=1e-4)
    assert found["k_hat"].value == pytest.approx(estimators.importance(*own, images, 200).k_hat.value, abs=1e-3)
    assert found["certified_to"].value < 0.05
    settings = found.findings["test"]["evidence"].settings["annealing"]
    other = estimators.log_evidence(*own, images[:20], Evidence(Annealing(**settings)))
    apart = (found["log_evidence"].value - other.value) / math.hypot(other.sampling_error, other.sampling_error)
    assert abs(apart) < 4
    assert found["log_evidence"].value > found["elbo_best"].value
    best = estimators.optimize_posterior(*own, images[:20], QUICK.local)
    bounds = estimators.bounds_at(*own, images[:20], best.lam, 200)
    assert found["elbo_best"].value == pytest.approx(bounds.elbo.value, abs=5 * bounds.elbo.sampling_error)
    assert found["inference_gap"].value == pytest.approx(
        found["approximation_gap"].value + found["amortization_gap"].value
    )


def test_lambda_is_the_guides_own_arguments(tutorial, written):
    x = digits(5)
    pair = pyro_vae.wrap(tutorial.model, tutorial.guide)
    lam = pair.guide.amortize(x)
    assert torch.allclose(lam, written[1].amortize(x[:, None]), atol=1e-5)  # biject_to(positive) is the exponential
    z = torch.randn(3, 5, 4)
    one, other = pair.guide.posterior(lam), written[1].posterior(lam)
    assert torch.allclose(one.log_prob(z), other.log_prob(z))


def test_what_needs_the_prior_the_draws_or_the_encoder_works_too(tutorial, written):
    x = digits(100)
    pair = pyro_vae.wrap(tutorial.model, tutorial.guide, x)
    assert torch.allclose(pair.model.prior().log_prob(torch.ones(4)), written[0].prior().log_prob(torch.ones(4)))
    ours, theirs = (estimators.kl_of_dimensions(*of, images) for of, images in ((pair, x), (written, x[:, None])))
    assert [e.value for e in ours] == pytest.approx([e.value for e in theirs], abs=1e-4)
    images, z = estimators.simulate(pair.model, 6)
    assert images.shape == (6, 8, 8)
    assert set(images.unique().tolist()) == {0.0, 1.0}
    assert z.shape == (6, 4)
    mean = written[1].posterior(written[1].amortize(x[:, None])).mean
    assert torch.allclose(pair.features(x), mean, atol=1e-6)
    assert pair.features(x.numpy(), "samples", 3).shape == (3, 100, 4)


def test_the_loss_is_pyros_own(tutorial):
    x = digits(30)
    pair = pyro_vae.wrap(tutorial.model, tutorial.guide)
    pair.model.programs.layout(x)
    torch.manual_seed(3)
    expected = pyro.infer.Trace_ELBO().loss(tutorial.model, tutorial.guide, x)
    torch.manual_seed(3)
    assert Trace_ELBO().loss(*pair, x) == pytest.approx(expected, rel=1e-6)


def test_two_wrapped_pairs_of_one_file_train_apart():
    x, weights = digits(200), []
    for seed in (0, 1):
        torch.manual_seed(seed)
        vae = TutorialVAE()
        first = vae.decoder.fc1.weight.detach().clone()
        bounds = pyro_vae.wrap(vae.model, vae.guide).train(x, epochs=8, lr=1e-2, engine="eager")
        assert bounds[-1] > bounds[0] + 5
        assert not torch.equal(first, vae.decoder.fc1.weight)
        weights.append(vae.decoder.fc1.weight)
    assert not torch.allclose(*weights)
    assert not dict(pyro.get_param_store())  # nothing is left there


def test_captured_steps_are_the_eager_ones():
    x, bounds = digits(200), {}
    for engine in ("eager", "captured"):
        torch.manual_seed(0)
        vae = TutorialVAE()
        bounds[engine] = pyro_vae.wrap(vae.model, vae.guide).train(x, epochs=3, engine=engine)
    assert bounds["captured"] == pytest.approx(bounds["eager"], rel=1e-6)


@pytest.fixture
def principal():
    torch.manual_seed(1)
    return Principal(torch.randn(6, 2).double(), torch.randn(6).double(), 0.6)


def test_the_linear_gaussian_model_in_plain_pyro_against_closed_forms(principal):
    x = torch.randn(30, 6).double()
    pair = pyro_vae.wrap(principal.model, principal.diagonal)
    evidence = principal.log_evidence(x)
    found = estimators.log_evidence(*pair, x)
    assert (found.per_image - evidence).abs().max() < 0.2
    assert found.value == pytest.approx(evidence.mean().item(), abs=4 * found.sampling_error + 1e-3)
    exact = principal.precision()
    best = float(exact.diagonal().log().sum() - exact.logdet()) / 2
    moved = best + 0.5 * (0.09 * exact.sum()).item()
    elbo = estimators.elbo(*pair, x, 2000).elbo
    assert evidence.mean().item() - elbo.value == pytest.approx(moved, abs=4 * elbo.sampling_error)
    optimum = estimators.optimize_posterior(
        *pair, x, LocalOptimization(num_samples=100, lr=0.02, check_every=50, patience=4, max_steps=1000)
    )
    bounds = estimators.bounds_at(*pair, x, optimum.lam, 4000)
    assert evidence.mean().item() - bounds.elbo.value == pytest.approx(best, abs=0.01)


def test_the_exact_posterior_has_equal_weights(principal):
    x = torch.randn(30, 6).double()
    pair = pyro_vae.wrap(principal.model, principal.exact)
    assert estimators.importance(*pair, x, 100).k_hat.value == pytest.approx(0, abs=1e-6)
    assert estimators.elbo(*pair, x, 3).elbo.value == pytest.approx(principal.log_evidence(x).mean().item())
    lam = pair.guide.amortize(x)
    assert lam.shape == (30, 2)  # the covariance is the same for every x and belongs to the family
    assert torch.allclose(pair.guide.posterior(lam).mean, principal.mean(x))


def test_parameters_of_pyro_param_are_the_pairs_and_train(principal):
    x = torch.randn(50, 6).double() * 2
    pair = pyro_vae.wrap(principal.model, principal.exact, x)
    assert {tuple(p.shape) for p in pair.model.parameters()} == {(6, 2), ()}
    bounds = pair.train(x, epochs=20, batch_size=50, lr=0.02, engine="eager")
    assert bounds[-1] > bounds[0] + 0.3
    trained = {name: value.detach().clone() for name, value in pair.model.state_dict().items() if "weight" in name}
    other = pyro_vae.wrap(principal.model, principal.exact, x)
    assert not torch.equal(dict(other.model.named_parameters())["weight.W"], trained["weight.W"])
    other.model.load_state_dict(pair.model.state_dict())
    z = torch.randn(50, 2).double()
    assert torch.equal(other.model.log_joint(x, z), pair.model.log_joint(x, z))


@pytest.mark.usefixtures("_double")
def test_two_sites_one_of_them_positive(counted):
    pair = pyro_vae.wrap(counts_model, counts_guide)
    evidence = counts_evidence(counted)
    found = pair.evaluate(counted, QUICK, quiet=True)
    assert found["elbo"].value == pytest.approx(evidence.mean().item(), abs=1e-6)
    assert found["k_hat"].value == pytest.approx(0, abs=1e-6)
    assert found["log_evidence"].value == pytest.approx(evidence.mean().item(), abs=0.05)
    assert abs(found["inference_gap"].value) < 0.05
    assert "2 sites" in found.not_defined["certificate"]  # what the model draws is no row of x
    with pytest.raises(InputError, match="certificate: the model draws no rows"):
        found["certified_to"]


@pytest.mark.usefixtures("_double")
def test_z_is_unconstrained_and_its_density_counts_the_volume(counted):
    pair = pyro_vae.wrap(counts_model, counts_guide, counted)
    grid = torch.linspace(-12, 8, 4001)
    prior = pair.model.prior()
    at = torch.stack([torch.zeros(4001), grid], -1)  # level at 0, the logarithm of rate along the grid
    expected = dist.Normal(0.0, 1.0).log_prob(torch.tensor(0.0)).exp().item()
    assert torch.trapezoid(prior.log_prob(at).exp(), grid).item() == pytest.approx(expected, rel=1e-6)
    joint = pair.model.log_joint(counted[:1], torch.stack([at[:, 0], grid], -1)[:, None])[:, 0]
    measured = dist.Normal(0.0, 0.5).log_prob(counted[0, 0]) + dist.Normal(0.0, 1.0).log_prob(torch.tensor(0.0))
    count = counts_evidence(counted)[0] - dist.Normal(0.0, 1.25**0.5).log_prob(counted[0, 0])
    assert torch.trapezoid(joint.exp(), grid).log().item() == pytest.approx((measured + count).item(), rel=1e-6)
    z = estimators.posterior_draws(pair.guide, counted, 4000)
    rates = z[..., 1].exp().mean(0)
    assert torch.allclose(rates, (3 + counted[:, 1]) / 1.5, rtol=0.1)
    q = pair.guide.posterior(pair.guide.amortize(counted))
    assert torch.allclose(q.sample((4000,))[..., 1].exp().mean(0), rates, rtol=0.1)


@pytest.mark.usefixtures("_double")
def test_a_site_that_depends_on_another_draw_has_no_split_and_all_the_rest():
    x = torch.randn(20) * 2
    pair = pyro_vae.wrap(chain_model, chain_guide)
    found = pair.evaluate(x, QUICK, quiet=True)
    evidence = dist.Normal(0.0, 3**0.5).log_prob(x).mean().item()
    assert found["elbo"].value == pytest.approx(evidence, abs=1e-6)
    assert found["log_evidence"].value == pytest.approx(evidence, abs=0.03)
    assert found["certified_to"].value < 0.05
    assert "draws site 'b_low' given another draw" in found.not_defined["gap"]
    assert pair.features(x, num_samples=4000)[:, 0].tolist() == pytest.approx((x / 3).tolist(), abs=0.1)


def test_a_network_of_one_batch_dimension_meets_draws_and_particles():
    torch.manual_seed(0)
    pictures, x = Pictures(), torch.randn(12, 1, 8, 8)
    pair = pyro_vae.wrap(pictures.model, pictures.guide, x)
    lam = pair.guide.amortize(x)
    q = pair.guide.posterior(lam)
    found = estimators.elbo(*pair, x, 500)
    z = q.sample((500,))
    direct = (pair.model.log_joint(x, z) - q.log_prob(z)).mean().item()
    assert found.elbo.bound == "lower"  # the plate's scale, 1000 of 12, is left out: figures are per row
    assert found.elbo.value == pytest.approx(direct, abs=4 * found.elbo.sampling_error + 0.3)
    one, five = (sum(IWAE(k).loss(*pair, x) for _ in range(200)) / 200 for k in (1, 5))
    assert five < one  # minus a bound


def test_what_is_printed_of_rows_is_of_rows_and_names_no_file(counted, capsys):
    found = pyro_vae.wrap(counts_model, counts_guide).evaluate(counted, metrics=["elbo", "importance"])
    said = capsys.readouterr().out + repr(found) + " ".join(found.sentences)
    assert "nats per row" in said
    assert "image" not in said
    assert "metrics.json" not in said
    assert "all settings are in the findings of the result" in " ".join(said.split())
