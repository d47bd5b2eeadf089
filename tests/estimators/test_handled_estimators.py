"""Masks and scales in what is measured: closed forms of a linear-Gaussian model whose images are partly masked."""

import math

import pyro
import pyro.distributions as dist
import pyro.infer
import pytest
import torch
from closed_forms import exact_guide, linear_gaussian
from pyro import poutine
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from guides import FullRank
from pyro_vae.estimators import (
    Annealing,
    LocalOptimization,
    NotDefined,
    ais,
    bounds_at,
    elbo,
    gradient_quality,
    importance,
    iwae,
    optimize_posterior,
    simulate,
)
from pyro_vae.models import LinearGaussian
from pyro_vae.objectives import IWAE, Trace_ELBO
from pyro_vae.params import announce

SEEN = torch.tensor([True, False, True, False])  #: images
SHORT = Annealing(chains=8, temperatures=20, leapfrog_steps=2)


class Partly(LinearGaussian):
    """The linear-Gaussian model with images that are not observed, and a scale around z."""

    kl_scale: float | None = None
    obs_mask: Tensor | None = None
    joint_is_masked = True

    def forward(self, x: Tensor | None = None, n: int | None = None) -> Tensor:
        announce(self)
        with pyro.plate("data", n if x is None else len(x), dim=-1):
            with poutine.scale(scale=self.kl_scale or 1.0):
                z = pyro.sample("z", self.prior())
            p = self.likelihood(self.decode(z))
            if self.obs_mask is not None:
                return pyro.sample("x", p, obs=x, obs_mask=self.obs_mask)
            with poutine.mask(mask=SEEN if x is not None else True):
                return pyro.sample("x", p, obs=x)

    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        if not self.joint_is_masked:
            return super().log_joint(x, z)
        return self.prior().log_prob(z) + SEEN * self.likelihood(self.decode(z)).log_prob(x)


def setting() -> tuple[Partly, FullRank, Tensor]:
    """The model, the guide that is exact for images that are seen, and images of which half are placeholders."""
    torch.manual_seed(0)
    plain = linear_gaussian()
    guide = exact_guide(plain)
    x = plain(n=4).detach()
    model = Partly(plain.decoder, plain.likelihood, plain.prior)
    x[~SEEN] = 100 * x[~SEEN].sign()
    return model, guide, x


def prior_kl(model: Partly, guide: FullRank, x: Tensor) -> Tensor:
    """KL(q(z|x) || p(z)) of each image, (N,), which is all that the ELBO of a masked one has."""
    q = guide.posterior(guide.amortize(x))
    return kl_divergence(q, MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())).detach()


def test_elbo():
    model, guide, x = setting()
    found = elbo(model, guide, x, 2000)
    evidence = model.log_evidence(x).detach()
    # where q is the posterior, log w is log p(x) at every z
    torch.testing.assert_close(found.elbo.per_image[SEEN], evidence[SEEN])
    expected = -prior_kl(model, guide, x)
    assert (expected[~SEEN] < -100).all(), "the guide believes the placeholders"
    torch.testing.assert_close(found.elbo.per_image[~SEEN], expected[~SEEN], rtol=0.01, atol=0)
    assert (found.log_likelihood.per_image[~SEEN] == 0).all()
    assert found.elbo.bound == "lower"


def test_iwae_and_importance_weights():
    model, guide, x = setting()
    with torch.no_grad():  # q = N(0.3, I) for every image: not the prior, and near it
        guide.head.weight.zero_()
        guide.head.bias.zero_()
        guide.head.bias[:2] = 0.3
    # of an image that is not observed, the evidence is that of nothing: log 1
    assert iwae(model, guide, x, 20_000).per_image[~SEEN].abs().max() < 0.02
    assert iwae(model, guide, x, 1).per_image[~SEEN].abs().max() > 0.05
    model, guide, x = setting()
    torch.testing.assert_close(iwae(model, guide, x, 60).per_image[SEEN], model.log_evidence(x)[SEEN].detach())
    quality = importance(model, guide, x, 60)
    assert (quality.k_hat.per_image[SEEN] == 0).all()
    torch.testing.assert_close(quality.effective_samples.per_image[SEEN], torch.ones(2).double())
    assert (quality.effective_samples.per_image[~SEEN] < 0.5).all()


def test_ais_follows_a_log_joint_that_is_masked_and_refuses_one_that_is_not():
    model, _, x = setting()
    model.float()
    found = ais(model, x.float(), SHORT)
    assert found.per_image[~SEEN].abs().max() < 1e-4
    model.joint_is_masked = False
    with pytest.raises(NotDefined, match=r"AIS asks Partly\.log_joint, which leaves out the mask .* site 'x'"):
        ais(model, x.float(), SHORT)


def test_the_gap_refuses_a_log_joint_or_a_posterior_without_the_mask():
    model, guide, x = setting()
    lam = guide.amortize(x).detach()
    found = bounds_at(model, guide, x, lam, 2000)
    torch.testing.assert_close(found.elbo.per_image[SEEN], model.log_evidence(x)[SEEN].detach())
    torch.testing.assert_close(found.elbo.per_image[~SEEN], -prior_kl(model, guide, x)[~SEEN], rtol=0.01, atol=0)
    local = LocalOptimization(num_samples=2, check_every=1, max_steps=1)

    class Masked(FullRank):
        def forward(self, x: Tensor) -> Tensor:
            with poutine.mask(mask=SEEN):
                return super().forward(x)

    masked = Masked(guide.encoder, 2).double()
    with pytest.raises(NotDefined, match=r"posterior of Masked, which leaves out the mask .* site 'z'"):
        optimize_posterior(model, masked, x, local)
    model.joint_is_masked = False
    for measure in (lambda: bounds_at(model, guide, x, lam, 10), lambda: optimize_posterior(model, guide, x, local)):
        with pytest.raises(NotDefined, match=r"log_joint, which leaves out the mask"):
            measure()


def test_a_scale_is_in_the_elbo_as_in_pyro_and_makes_it_no_bound():
    model, guide, x = setting()
    model.kl_scale = 0.1
    with torch.no_grad():
        guide.head.bias += 0.3
    found = elbo(model, guide, x, 500)
    torch.manual_seed(0)
    with torch.no_grad():
        theirs = pyro.infer.Trace_ELBO(4000, max_plate_nesting=1, vectorize_particles=True).loss(model, guide, x)
    assert found.elbo.value == pytest.approx(-theirs / 4, rel=0.02)
    assert found.elbo.bound is None
    for figure, measure in (("the importance-weighted bound", iwae), ("k-hat", importance)):
        with pytest.raises(NotDefined, match=f"^{figure} weighs whole images, and site 'z' has a scale"):
            measure(model, guide, x, 60)


def test_images_that_the_model_fills_in_need_a_guide_of_them():
    model, guide, x = setting()
    model.obs_mask = SEEN
    with pytest.raises(NotDefined, match="the guide has no site 'x_unobserved' of the model"):
        iwae(model, guide, x, 60)

    class Filling(FullRank):
        """q of what is not observed: the model's own p(x|z), so that its weight is 1."""

        def forward(self, x: Tensor) -> Tensor:
            with pyro.plate("data", len(x), dim=-1):
                z = pyro.sample("z", self.posterior(self.amortize(x)))
                with poutine.mask(mask=~SEEN):
                    pyro.sample("x_unobserved", model.likelihood(model.decode(z)))
                return z

    filling = Filling(guide.encoder, 2)
    filling.head = guide.head
    found = iwae(model, filling, x, 60)
    torch.testing.assert_close(found.per_image[SEEN], model.log_evidence(x)[SEEN].detach())
    images, z = simulate(model, 4)
    assert images.shape == x.shape
    assert z.shape == (4, 2)


def test_gradients_are_those_of_the_masked_objective():
    """The variance of IWAE's gradient does not see the placeholders' likelihood, which would make it immense."""
    model, guide, x = setting()
    x[~SEEN] = x[~SEEN] / 100
    for objective in (Trace_ELBO(2), IWAE(2)):
        far = x.clone()
        far[~SEEN] = 1e6
        # the encoder's own input is left as it is: what differs is what the model is asked to explain
        values = []
        for observed in (x, far):
            model.forward = lambda _, observed=observed: Partly.forward(model, observed)
            values.append(gradient_quality(model, guide, x, objective, 4).variance.value)
        assert values[0] == values[1] > 0


def test_draws_of_several_blocks_have_masks_of_their_own():
    """A mask that depends on z: the blocks in which a guide draws differ in it."""

    class OfZ(FullRank):
        def forward(self, x: Tensor) -> Tensor:
            with pyro.plate("data", len(x), dim=-1):
                q = self.posterior(self.amortize(x))
                z = pyro.sample("z", q)
                with poutine.mask(mask=z[..., 0] > q.mean[..., 0]):
                    pyro.sample("u", standard, infer={"is_auxiliary": True})
                return z

    standard = dist.Normal(torch.zeros(()).double(), 1.0)
    model, guide, x = setting()
    half = OfZ(guide.encoder, 2)
    half.head = guide.head
    found = elbo(model, half, x, 4000)
    # half of the draws pay E log N(u; 0, 1) = -H
    entropy = standard.entropy().item()
    expected = model.log_evidence(x)[SEEN].detach() + entropy / 2
    assert (found.elbo.per_image[SEEN] - expected).abs().max() < 4 * 0.9 / math.sqrt(4000)
