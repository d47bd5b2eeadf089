"""What a wrapped pair cannot tell: latents that all rows share have no split, and what a program lacks is one line."""

import pyro
import pyro.distributions as dist
import pyro.infer
import pytest
import torch
from programs.pairs import Shared, counts_guide, counts_model
from programs.quick import QUICK

import pyro_vae
from pyro_vae import estimators
from pyro_vae.errors import InputError
from pyro_vae.estimators import NotDefined
from pyro_vae.objectives import Trace_ELBO


def test_a_latent_that_all_rows_share_is_held_at_its_mean():
    pair, x = None, 1.2 * torch.randn(40)
    shared = Shared()
    pair = pyro_vae.wrap(shared.model, shared.guide, x)
    elbo = estimators.elbo(*pair, x, 4000).elbo
    z = torch.randn(4000, 40) * 0.8 + 0.4 * x
    joint = dist.Normal(0.0, 1.0).log_prob(z) + dist.Normal(0.7 * z, 1.0).log_prob(x)
    expected = (joint - dist.Normal(0.4 * x, 0.8).log_prob(z)).mean().item()
    assert elbo.value == pytest.approx(expected, abs=0.03)
    evidence = dist.Normal(0.0, (1 + 0.7**2) ** 0.5).log_prob(x).mean().item()
    assert estimators.log_evidence(*pair, x).value == pytest.approx(evidence, abs=0.03)
    with pytest.raises(NotDefined, match="the rows share site 'slope'"):
        pair.guide.amortize(x)


def test_a_latent_that_all_rows_share_trains_with_its_share_of_the_kl():
    torch.manual_seed(0)
    x = torch.randn(200) * 1.5
    shared = Shared()
    pair = pyro_vae.wrap(shared.model, shared.guide, x)
    pair.model.set_num_images(200)
    pair.model.train(), pair.guide.train()
    torch.manual_seed(2)
    half = torch.stack([torch.tensor(Trace_ELBO().loss(*pair, x[:100])) for _ in range(400)]).mean()
    torch.manual_seed(2)
    whole = [pyro.infer.Trace_ELBO().loss(shared.model, shared.guide, x) for _ in range(400)]
    other = [Trace_ELBO().loss(*pair, x[100:]) for _ in range(400)]
    assert half + sum(other) / 400 == pytest.approx(sum(whole) / 400, rel=0.02)


def with_(model=counts_model, guide=counts_guide):
    return pyro_vae.wrap(model, guide)


def test_what_a_program_lacks_is_said_in_one_line(counted):
    def no_plate(x):
        z = pyro.sample("z", dist.Normal(torch.zeros(len(x)), 1.0).to_event(1))
        pyro.sample("obs", dist.Normal(z, 1.0).to_event(1), obs=x[:, 0])

    def no_plate_guide(x):
        pyro.sample("z", dist.Normal(x[:, 0], 1.0).to_event(1))

    def unobserved(x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(0.0, 1.0))

    def discrete(x):
        with pyro.plate("data", len(x)):
            k = pyro.sample("k", dist.Categorical(torch.ones(2)))
            pyro.sample("obs", dist.Normal(k.to(x), 1.0), obs=x[:, 0])

    def discrete_guide(x):
        with pyro.plate("data", len(x)):
            pyro.sample("k", dist.Categorical(torch.ones(len(x), 2)))

    def point(x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Delta(x[:, 0]))

    def simple(x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.sample("obs", dist.Normal(z, 1.0), obs=x[:, 0])

    for model, guide, words in (
        (no_plate, no_plate_guide, "no observed site of the model is in a plate of the rows"),
        (unobserved, unobserved, "the model observes nothing"),
        (simple, lambda x: pyro.sample("z", dist.Normal(x[:30, 0], 1.0).expand([30])), "stops when it is given"),
    ):
        with pytest.raises(InputError, match=words) as error:
            with_(model, guide).evaluate(counted.float(), QUICK, quiet=True)
        assert "\n" not in str(error.value)
    found = with_(discrete, discrete_guide).evaluate(counted.float(), QUICK, quiet=True)
    assert "elbo" in found
    assert "discrete" in found.not_defined["evidence"]
    assert "it builds on evidence, which is not defined here" in found.not_defined["gap"]
    found = with_(simple, point).evaluate(counted.float(), QUICK, quiet=True)
    assert "needs a density" in found.not_defined["elbo"]
    assert found["log_evidence"].value < 0
