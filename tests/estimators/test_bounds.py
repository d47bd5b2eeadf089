"""ELBO, IWAE and AIS against the closed-form evidence of a linear-Gaussian model."""

import pytest
import torch
from estimator_cases import OwnSamplesOnly, Point, Scaled, linear_gaussian
from torch.distributions import MultivariateNormal, kl_divergence
from torch.utils._python_dispatch import TorchDispatchMode

from guides import MeanField, MLPEncoder
from pyro_vae.estimators import Annealing, Estimate, NotDefined, ais, bracket, elbo, importance, iwae, simulate
from pyro_vae.estimators.estimate import log_mean
from pyro_vae.models import VAE, Bernoulli, MLPDecoder, StandardNormal


@pytest.fixture(scope="module")
def case():
    torch.manual_seed(0)
    model = linear_gaussian()
    x, z = simulate(model, 40)
    return model, x, z, model.log_evidence(x).double()


def bernoulli_case(images=7):
    torch.manual_seed(1)
    shape = (1, 6, 6)
    model = VAE(MLPDecoder(3, shape, [16]), Bernoulli(shape), StandardNormal(3))
    return model, MeanField(MLPEncoder(shape, [16]), 3), torch.rand(images, *shape).round()


def test_simulated_images_have_the_moments_of_the_evidence():
    torch.manual_seed(3)
    model = linear_gaussian()
    x, z = simulate(model, 20_000)
    weight = model.decoder.output.weight
    covariance = weight @ weight.mT + 0.25 * torch.eye(9)
    # 20,000 images: entries of a covariance of size about 1 are known to 0.01, one standard deviation
    torch.testing.assert_close(x.flatten(1).T.cov(), covariance, atol=0.05, rtol=0)
    torch.testing.assert_close(z.T.cov(), torch.eye(2), atol=0.05, rtol=0)
    # and z belongs to its x: the regression of x on z is the decoder
    torch.testing.assert_close(
        torch.linalg.lstsq(z, x.flatten(1) - model.decoder.output.bias)[0].T, weight, atol=0.02, rtol=0
    )


def test_elbo_is_the_evidence_minus_the_kl(case):
    model, x, _, evidence = case
    guide = Scaled(model, 0.7)
    q, p = guide.posterior(guide.amortize(x)), model.exact_posterior(x)
    truth = evidence - kl_divergence(MultivariateNormal(q.loc, scale_tril=q.scale_tril), p).double()
    found = elbo(model, guide, x, num_samples=2000)
    assert found.elbo.value == pytest.approx(truth.mean().item(), abs=3 * found.elbo.sampling_error)
    assert found.elbo.sampling_error < 0.01
    assert found.elbo.value == pytest.approx(found.log_likelihood.value - found.kl.value, abs=1e-6)
    assert found.elbo.bound == "lower"


def test_elbo_of_the_exact_posterior_is_the_evidence_without_noise(case):
    model, x, _, evidence = case
    found = elbo(model, Scaled(model), x, num_samples=3)
    torch.testing.assert_close(found.elbo.per_image, evidence, atol=1e-4, rtol=0)


@pytest.mark.parametrize("guide_class", [Scaled, OwnSamplesOnly])
def test_iwae_is_the_evidence(case, guide_class):
    model, x, _, evidence = case
    found = iwae(model, guide_class(model, 1.5), x, num_samples=5000)
    assert found.value == pytest.approx(evidence.mean().item(), abs=min(0.05, 3 * found.sampling_error))
    assert (found.per_image - evidence).abs().max() < 0.15
    assert (found.images, found.samples, found.bound) == (40, 5000, "lower")
    # the standard error is that of the mean over images
    assert found.standard_error == pytest.approx(evidence.std().item() / 40**0.5, rel=0.05)


def test_the_sampling_error_of_iwae_is_that_of_repeats(case):
    model, x, _, _ = case
    guide = Scaled(model, 1.5)
    repeats = [iwae(model, guide, x[:10], num_samples=200, seed=seed) for seed in range(40)]
    spread = torch.tensor([r.value for r in repeats]).std().item()
    stated = sum(r.sampling_error for r in repeats) / 40
    # 40 repeats know a standard deviation to 11 %
    assert stated == pytest.approx(spread, rel=0.35)


def test_iwae_rises_from_the_elbo_with_the_number_of_samples(case):
    model, x, _, evidence = case
    guide = Scaled(model, 0.5)
    values = [iwae(model, guide, x, num_samples=k, seed=k).value for k in (1, 10, 100, 1000)]
    assert values == sorted(values)
    assert values[-1] < evidence.mean().item() + 0.05
    assert values[0] < values[1] - 0.1


@pytest.mark.parametrize("num_samples", [1, 130, 1000])
def test_the_chunk_does_not_change_the_numbers(num_samples):
    model, guide, x = bernoulli_case()
    values = [iwae(model, guide, x, num_samples, chunk=chunk).per_image for chunk in (1, 100, 10_000)]
    torch.testing.assert_close(values[0], values[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(values[0], values[2], atol=1e-5, rtol=0)
    terms = [elbo(model, guide, x, num_samples, chunk=chunk).kl.per_image for chunk in (1, 10_000)]
    torch.testing.assert_close(terms[0], terms[1], atol=1e-5, rtol=0)


class Largest(TorchDispatchMode):
    """The number of values in the largest tensor that was made."""

    values = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.values = max(self.values, made.numel())
        return made


def test_memory_is_bounded_by_the_chunk_and_not_by_the_samples():
    model, guide, x = bernoulli_case()
    with Largest() as few:
        iwae(model, guide, x, num_samples=100, chunk=50)
    with Largest() as many:
        iwae(model, guide, x, num_samples=5000, chunk=50)
    assert many.values == few.values == 50 * 7 * 36
    with Largest() as larger:
        iwae(model, guide, x, num_samples=5000, chunk=100)
    assert larger.values == 2 * many.values


def test_many_images_are_taken_in_batches():
    model, guide, x = bernoulli_case(images=200)
    seen = []
    with Largest() as mode:
        whole = iwae(model, guide, x, num_samples=50, progress=lambda done, total: seen.append((done, total)))
    assert mode.values < 50 * 200 * 36
    assert seen[-1] == (200, 200)
    assert seen == sorted(seen)
    assert whole.images == 200


def test_the_callers_random_numbers_are_left_alone_and_the_seed_repeats():
    model, guide, x = bernoulli_case()
    state = torch.get_rng_state()
    first, again, other = (iwae(model, guide, x, 100, seed=seed).value for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), state)
    assert first == again != other


SETTINGS = Annealing(chains=24, temperatures=200, leapfrog_steps=5)


@pytest.fixture(scope="module")
def bracketed(case):
    model, x, z, _ = case
    return bracket(model, x, z, SETTINGS)


def test_ais_is_the_evidence(case, bracketed):
    model, x, _, evidence = case
    found = ais(model, x, SETTINGS)
    assert found.value == pytest.approx(evidence.mean().item(), abs=min(0.05, 3 * found.sampling_error))
    assert found.bound == "lower"
    assert found.value == bracketed.lower.value


def test_the_bracket_contains_the_evidence_and_closes(case, bracketed):
    model, x, z, evidence = case
    truth = evidence.mean().item()
    lower, upper = bracketed.lower, bracketed.upper
    assert lower.value - 3 * lower.sampling_error < truth < upper.value + 3 * upper.sampling_error
    assert upper.value == pytest.approx(truth, abs=0.1)
    wide = bracket(model, x, z, Annealing(chains=1, temperatures=3, leapfrog_steps=5))
    # far too few temperatures and one chain: both are off by much, each on its own side
    assert wide.lower.value < truth - 0.3
    assert wide.upper.value > truth + 0.3
    assert wide.gap.value > 5 * bracketed.gap.value
    assert wide.gap.value == pytest.approx(wide.upper.value - wide.lower.value, abs=1e-9)


def test_the_error_of_few_chains_is_that_of_repeats(case):
    """Chains whose weights spread over nats: the delta method states two thirds of the spread between seeds."""
    model, x, _, _ = case
    few = Annealing(chains=8, temperatures=6, leapfrog_steps=2)
    found = [ais(model, x[:10], few, seed=seed) for seed in range(60)]
    spread = torch.stack([f.per_image for f in found]).var(0).mean().sqrt().item() / 10**0.5
    stated = sum(f.sampling_error**2 for f in found) ** 0.5 / 60**0.5
    assert spread > 0.1
    assert 0.8 * spread < stated < 1.5 * spread  # widened by Student's t for 8 chains
    alone = ais(model, x[:2], Annealing(chains=1, temperatures=3, leapfrog_steps=2))
    assert alone.sampling_error is None


@pytest.mark.parametrize(("count", "kept"), [(8, 8), (8, 4), (400, 60)])
@pytest.mark.parametrize("spread", [0.5, 2.0, 3.0])
def test_the_jackknife_of_a_log_mean_is_its_spread(count, kept, spread):
    weights = spread * torch.randn(count, 4000, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    largest = weights.topk(kept, 0).values
    mean, deviation = log_mean(weights.logsumexp(0), (2 * weights).logsumexp(0), count, largest)
    assert deviation.square().mean().sqrt().item() == pytest.approx(mean.std().item(), rel=0.1)


def test_a_bound_of_heavy_weights_says_so(case):
    model, x, _, _ = case
    narrow = iwae(model, Scaled(model, 0.25), x, 1000)
    assert narrow.unreliable == importance(model, Scaled(model, 0.25), x, 1000).unreliable.value > 0.8
    assert str(narrow).endswith(" !")
    assert "k-hat above 0.7 for" in narrow.caution
    exact = iwae(model, Scaled(model, 1.1), x, 1000)
    assert (exact.unreliable, exact.caution) == (0.0, "")
    assert iwae(model, Scaled(model), x, 20).unreliable is None
    halves = Estimate.join([narrow, exact])
    assert halves.unreliable == narrow.unreliable / 2
    assert Estimate.from_dict(halves.to_dict()).unreliable == halves.unreliable


def test_weights_are_unbiased_however_short_the_path(case):
    model, x, _, evidence = case
    few = Annealing(chains=4000, temperatures=3, leapfrog_steps=3)
    found = ais(model, x[:5], few)
    # exp of the weights has mean p(x), so that many chains make up for a path of three steps
    assert found.value == pytest.approx(evidence[:5].mean().item(), abs=3 * found.sampling_error)
    assert found.sampling_error < 0.05


def test_ais_from_the_posterior_has_no_noise(case):
    model, x, _, evidence = case
    guide = Scaled(model)
    found = ais(model, x, Annealing(2, 3, 2), start=lambda images: guide.posterior(guide.amortize(images)))
    torch.testing.assert_close(found.per_image, evidence, atol=1e-4, rtol=0)


def test_the_step_size_comes_to_the_acceptance_asked_for(case):
    from functools import partial

    from pyro_vae.estimators.ais import path_from
    from pyro_vae.estimators.annealing import Path, sigmoid_schedule
    from pyro_vae.estimators.hmc import score

    model, x, _, _ = case
    settings = Annealing(chains=50, temperatures=200, leapfrog_steps=5, acceptance=0.8)
    torch.manual_seed(0)
    with torch.no_grad():
        rescore = partial(score, path_from(model, model.prior(), x))
        path = Path(sigmoid_schedule(200), len(x), settings)
        path.forward(rescore(model.prior().sample((4, len(x)))), rescore, lambda: None, steer=True)
        _, acceptance = path.move(rescore(model.exact_posterior(x).sample((50,))), 200, rescore)
    assert acceptance.mean().item() == pytest.approx(0.8, abs=0.1)
    assert path.step_sizes[-1].mean() < path.step_sizes[20].mean()


def test_hmc_leaves_the_posterior_where_it_is(case):
    from functools import partial

    from pyro_vae.estimators import hmc
    from pyro_vae.estimators.ais import path_from

    model, x, _, _ = case
    x = x[:3]
    torch.manual_seed(0)
    rescore = partial(hmc.score, path_from(model, model.prior(), x))
    exact = model.exact_posterior(x)
    at = rescore(exact.sample((4000,)) * 0 + exact.mean)  # all chains in the middle: they must spread as they should
    for _ in range(30):
        at, _ = hmc.transition(at, torch.tensor(1.0), torch.full((3, 1), 0.2), 5, rescore)
    torch.testing.assert_close(at.z.mean(0), exact.mean, atol=0.03, rtol=0)
    covariance = torch.stack([at.z[:, i].T.cov() for i in range(3)])
    torch.testing.assert_close(covariance, exact.covariance_matrix, atol=0.01, rtol=0.1)


def test_what_has_no_density_says_so(case):
    model, x, _, _ = case
    with pytest.raises(NotDefined, match="Point has none"):
        iwae(model, Point(model), x)
    with pytest.raises(NotDefined, match="ELBO needs a density"):
        elbo(model, Point(model), x)


def test_a_model_without_a_prior_needs_a_start(case):
    _, x, _, _ = case

    class NoPrior(torch.nn.Module):
        log_joint = None

    with pytest.raises(NotDefined, match="NoPrior has no `prior\\(\\)`"):
        ais(NoPrior(), x)


@pytest.mark.parametrize("bad", [{"chains": 0}, {"temperatures": 0}, {"acceptance": 1.0}])
def test_annealing_refuses_what_makes_no_sense(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Annealing(**bad)


def test_an_estimate_goes_to_json_and_back():
    import json

    estimate = Estimate.over(torch.tensor([1.0, 3.0]), "a mean", 7, "lower", torch.tensor([0.3, 0.4]))
    assert (estimate.value, estimate.standard_error, estimate.images) == (2.0, 1.0, 2)
    assert estimate.sampling_error == pytest.approx(0.25)  # sqrt(0.3^2 + 0.4^2) / 2
    assert str(estimate) == "≥ 2 ± 1"
    assert Estimate.from_dict(json.loads(json.dumps(estimate.to_dict()))) == estimate
    assert json.loads(json.dumps(Estimate.over(torch.tensor([torch.inf]), "", 1).to_dict()))["value"] is None
