"""Every model, part of a model, objective and schedule that is found keeps its contract; broken ones do not."""

from functools import partial

import pyro
import pyro.distributions as dist
import pytest
import torch

import guides
from guides import ConvEncoder, MLPEncoder
from pyro_vae import models, objectives, schedules, testing
from pyro_vae.models import VAE, Bernoulli, Gaussian, LinearDecoder, MLPDecoder, Prior, StandardNormal
from pyro_vae.objectives import Trace_ELBO
from pyro_vae.schedules import BetaSchedule
from pyro_vae.testing import (
    check_decoder,
    check_encoder,
    check_likelihood,
    check_model,
    check_objective,
    check_prior,
    check_schedule,
)

unsquashed = partial(Gaussian, squash=False)
#: what a part needs to be checked, where its defaults do not do
SETTINGS = {
    "LinearGaussian": {"decoder": LinearDecoder, "likelihood": unsquashed},
    "FlowPrior": {"latent_dims": (2, 5)},
    "HierarchicalPrior": {"latent_dims": (2, 5)},
    **{name: {"levels": 17} for name in ("DiscretizedLogistic", "Categorical", "BetaBinomial")},
}
CHECKS = {
    check_model: models.MODELS,
    check_likelihood: models.LIKELIHOODS,
    check_prior: models.PRIORS,
    check_decoder: models.DECODERS,
    check_encoder: guides.ENCODERS,
    check_objective: objectives.OBJECTIVES,
    check_schedule: schedules.SCHEDULES,
}
WHERE = (models, guides, objectives, schedules)


@pytest.mark.parametrize(
    ("check", "name"), [pytest.param(c, n, id=f"{c.__name__}-{n}") for c, names in CHECKS.items() for n in names]
)
def test_it_keeps_its_contract(check, name):
    part = next(getattr(module, name) for module in WHERE if hasattr(module, name))
    check(part, **SETTINGS.get(name, {}))


@pytest.mark.parametrize("scale", [0.3, "learned", "decoded"])
@pytest.mark.parametrize("squash", [True, False])
def test_each_gaussian_integrates_to_one(scale, squash):
    check_likelihood(Gaussian, scale=scale, squash=squash)


def test_every_kind_has_a_check_and_every_check_has_parts():
    assert all(CHECKS.values())
    assert {check.__name__ for check in CHECKS} == set(testing.__all__) - {
        "check_guide",
        "check_lr_schedule",
        "check_data_set",
        "check_metric",
        "check_run_picture",
        "check_tracker",
    }


# Broken parts, each with the message that its author must get.


class TooLikely(Bernoulli):
    def forward(self, output):
        class Wrong(dist.Bernoulli):
            def log_prob(self, value):
                return super().log_prob(value) + 0.1

        return self.independent(Wrong(logits=output))


class NoEvent(Bernoulli):
    def independent(self, pixels):
        return pixels


class Elsewhere(Bernoulli):
    def initial_output(self, mean_image):
        return torch.zeros_like(mean_image)


class Widened(StandardNormal):
    def forward(self):
        class Wrong(dist.Normal):
            def log_prob(self, value):
                return super().log_prob(value) + 0.1

        return Wrong(self.zero, torch.ones_like(self.zero)).to_event(1)


class Scalars(Prior):
    def forward(self):
        return dist.Normal(torch.zeros(self.latent_dim), 1.0)


class Mixed(MLPEncoder):
    def forward(self, x):
        features = super().forward(x)
        return features - features.mean(0)


class Stuck(MLPDecoder):
    def start_at(self, output):
        pass


class Flat(MLPDecoder):
    def forward(self, z):
        return super().forward(z).flatten(-3)


class Doubled(VAE):
    def log_joint(self, x, z):
        return 2 * super().log_joint(x, z)


class Renamed(VAE):
    def forward(self, x=None, n=None):
        with pyro.plate("data", n if x is None else len(x), dim=-1):
            z = pyro.sample("code", self.prior())
            return pyro.sample("x", self.likelihood(self.decode(z)), obs=x)


class Unplated(VAE):
    def forward(self, x=None, n=None):
        with pyro.plate("images", n if x is None else len(x), dim=-1):
            z = pyro.sample("z", self.prior())
            return pyro.sample("x", self.likelihood(self.decode(z)), obs=x)


class Biased(Trace_ELBO):
    def surrogate(self, model_trace, guide_trace, terms):
        return 1.5 * super().surrogate(model_trace, guide_trace, terms)


class Offset(Trace_ELBO):
    def differentiable_loss(self, model, guide, *args, **kwargs):
        return super().differentiable_loss(model, guide, *args, **kwargs) + 1


class Counting(BetaSchedule):
    def __init__(self):
        self.asked = 0

    def __call__(self, progress):
        self.asked += 1
        return self.asked / 1000


class Falling(BetaSchedule):
    def __call__(self, progress):
        return 0.5 - progress


@pytest.mark.parametrize(
    ("check", "part", "words"),
    [
        (check_likelihood, TooLikely, "integrates to 1.1"),
        (check_likelihood, NoEvent, "event_shape must be"),
        (check_likelihood, Elsewhere, "the mean is off by"),
        (check_prior, Widened, "integrates to 1.1|standard errors|two distributions"),
        (check_prior, Scalars, "to_event"),
        (check_encoder, Mixed, "only the other images change"),
        (check_decoder, Stuck, "does not move the output"),
        (check_decoder, Flat, "must have shape"),
        (check_model, Doubled, "differs by .* nats from the log density of the program's trace"),
        (check_model, Renamed, 'no sample site "z"'),
        (check_model, Unplated, 'must be in pyro.plate\\("data"'),
        (check_objective, Biased, "mean gradient differs"),
        (check_objective, Offset, "minus the sum of the bounds"),
        (check_schedule, Counting, "depends on what was asked before"),
        (check_schedule, Falling, "beta at 0.51 is -0.01"),
    ],
)
def test_what_is_wrong_is_said(check, part, words):
    with pytest.raises(AssertionError, match=words):
        check(part)


def test_a_part_of_another_kind_is_named():
    with pytest.raises(AssertionError, match="MLPDecoder, which is no Prior"):
        check_prior(lambda d: MLPDecoder(d, (1, 2, 2)))
    assert ConvEncoder.__name__ in CHECKS[check_encoder]
