"""SemiAmortized: steps of gradient ascent from the amortized posterior, and their exact gradient."""

import pytest
import torch
from family_cases import SHAPE, Flat, build, linear_gaussian
from torch import Tensor

from guides import GUIDES, MLPEncoder
from pyro_vae.models import VAE, Bernoulli, MLPDecoder, StandardNormal


def test_semi_amortized_steps_climb_the_elbo() -> None:
    """An encoder that was never trained, 20 steps: most of the way to the best diagonal Gaussian's 0.22 nats."""
    model, x = linear_gaussian(), linear_gaussian()(n=64)
    torch.manual_seed(0)
    guide = GUIDES["SemiAmortized"](Flat(), 4, steps=20, step_size=0.1, num_particles=20)
    guide.bind(model.log_joint)
    with torch.no_grad():
        before, after = guide.inner.amortize(x), guide.amortize(x)
        evidence = model.log_evidence(x).mean()
        gaps = []
        for lam in (before, after):
            q = guide.posterior(lam)
            z = q.rsample((1000,))
            gaps.append((evidence - (model.log_joint(x, z) - q.log_prob(z)).mean()).item())
    assert gaps[0] > 2
    assert gaps[1] < 0.4
    assert not after.requires_grad


def test_the_gradient_through_semi_amortized_steps_is_exact() -> None:
    """Against central differences of the final ELBO, in every parameter along one random direction, float64."""
    torch.manual_seed(0)
    model = VAE(MLPDecoder(2, SHAPE, [8]), Bernoulli(SHAPE), StandardNormal(2)).double()
    guide = GUIDES["SemiAmortized"](
        MLPEncoder(SHAPE, [8]), 2, family="FullRank", steps=3, step_size=0.3, clip_norm=2.0
    ).double()
    guide.bind(model.log_joint)
    x = torch.rand(4, *SHAPE).bernoulli().double()
    parameters = [*guide.parameters(), *model.parameters()]

    def elbo() -> Tensor:
        torch.manual_seed(1)
        q = guide.posterior(guide.amortize(x))
        z = q.rsample()
        return (model.log_joint(x, z) - q.log_prob(z)).sum()

    gradients = torch.autograd.grad(elbo(), parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        direction = torch.randn_like(parameter)
        ends = []
        for end in (1e-5, -1e-5):
            with torch.no_grad():
                parameter.add_(end * direction)
            ends.append(elbo().item())
            with torch.no_grad():
                parameter.add_(-end * direction)
        torch.testing.assert_close(
            (gradient * direction).sum().item(), (ends[0] - ends[1]) / 2e-5, rtol=1e-5, atol=1e-6
        )


def test_semi_amortized_refuses_what_it_cannot_do() -> None:
    with pytest.raises(RuntimeError, match=r"call guide.bind\(model.log_joint\)"):
        build("SemiAmortized", 2).amortize(torch.rand(3, *SHAPE))
    with pytest.raises(ValueError, match="there is no guide 'Nothing'"):
        build("SemiAmortized", 2, family="Nothing")
    with pytest.raises(ValueError, match="Delta has no density"):
        build("SemiAmortized", 2, family="Delta")
