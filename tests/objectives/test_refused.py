"""Guides that an objective cannot weigh are refused in words; those that it can are weighed rightly."""

import math

import pyro
import pyro.distributions as dist
import pyro.infer
import pytest
import torch
from closed_forms import mean_field
from objective_cases import OBJECTIVES, assert_same, run, setting
from torch import Tensor

from guides import MeanField
from pyro_vae.objectives import (
    IWAE,
    DReG,
    RenyiELBO,
    Trace_ELBO,
    TraceMeanField_ELBO,
)


class CachedFlow(MeanField):
    """The diagonal Gaussian as a flow that remembers its last sample, and so scores it without passing through z."""

    def posterior(self, lam: Tensor) -> dist.TorchDistribution:
        gaussian = super().posterior(lam).base_dist
        affine = dist.transforms.AffineTransform(gaussian.loc, gaussian.scale, event_dim=1, cache_size=1)
        return dist.TransformedDistribution(dist.Normal(torch.zeros_like(gaussian.loc), 1.0).to_event(1), [affine])


@pytest.mark.parametrize(
    "name", sorted(OBJECTIVES.keys() - {"TraceMeanField_ELBO"})
)  # which knows one KL and not the other
@pytest.mark.parametrize("k", [1, 4])
def test_flows_that_remember_their_sample(name, k):
    model, _, x = setting()
    guide = mean_field(model)
    flow = CachedFlow(guide.encoder, 2)
    flow.head = guide.head
    objective = OBJECTIVES[name](k)
    expected_loss, expected = run(objective, model, guide, x)
    loss, gradient = run(objective, model, flow, x)
    assert loss == pytest.approx(expected_loss, rel=1e-12)
    assert_same(gradient, expected)


class OwnSamplesOnly(MeanField):
    scores_any_z = False


class Unreparameterised(MeanField):
    def posterior(self, lam: Tensor) -> dist.TorchDistribution:
        gaussian = super().posterior(lam).base_dist
        return dist.testing.fakes.NonreparameterizedNormal(gaussian.loc, gaussian.scale).to_event(1)


class TwoSites(MeanField):
    def forward(self, x: Tensor) -> Tensor:
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("u", dist.Normal(x.new_zeros(()), 1.0), infer={"is_auxiliary": True})
            return pyro.sample("z", self.posterior(self.amortize(x)))


@pytest.mark.parametrize("name", ["STL", "DReG"])
def test_a_guide_that_scores_only_its_own_samples_is_refused(name):
    model, guide, x = setting()
    guide = OwnSamplesOnly(guide.encoder, 2).double()
    with pytest.raises(ValueError, match=f"{name} needs .* OwnSamplesOnly scores only its own samples"):
        OBJECTIVES[name](2).loss(model, guide, x)


@pytest.mark.parametrize("name", ["STL", "DReG", "TraceMeanField_ELBO"])
def test_samples_without_gradients_are_refused_where_they_would_mislead(name):
    model, guide, x = setting()
    guide = Unreparameterised(guide.encoder, 2).double()
    with pyro.validation_enabled(False), pytest.raises(NotImplementedError, match="fully reparameterized"):
        OBJECTIVES[name](2).loss(model, guide, x)


@pytest.mark.parametrize("name", ["STL", "DReG"])
def test_two_latent_sites_are_refused_by_name(name):
    model, guide, x = setting()
    guide = TwoSites(guide.encoder, 2).double()
    with pytest.raises(ValueError, match=f"{name} is for guides with one latent site; this one has 2"):
        OBJECTIVES[name](2)(model, guide)(x)


def test_an_auxiliary_site_counts_in_the_posterior_of_both_estimators():
    model, guide, x = setting()
    guide = TwoSites(guide.encoder, 2).double()
    for objective in (Trace_ELBO(3), TraceMeanField_ELBO(3)):
        loss, _ = run(objective, model, guide, x)
        theirs = getattr(pyro.infer, type(objective).__name__)
        expected, _ = run(theirs(3, max_plate_nesting=1, vectorize_particles=True), model, guide, x)
        assert loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("arguments", [{"num_particles": 0}, {"free_bits": -0.1}])
def test_wrong_numbers_are_refused(arguments):
    for objective in (Trace_ELBO, IWAE, RenyiELBO, DReG):
        with pytest.raises(ValueError, match="num_particles must be positive"):
            objective(**arguments)
    with pytest.raises(ValueError, match="alpha must be finite"):
        RenyiELBO(math.inf)
