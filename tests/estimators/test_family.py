"""The best of a family with its networks free, on a linear-Gaussian model where both answers are known."""

import pyro.distributions as dist
import pytest
import torch
from estimator_cases import Scaled, linear_gaussian
from torch import nn

from guides import IAF, NSF, MeanField, MLPEncoder
from pyro_vae.estimators import LocalOptimization, NotDefined, bounds_at, optimize_posterior, simulate, split_gap
from pyro_vae.estimators.family import copies, each_with_its_own
from pyro_vae.seeds import seeded

QUICK = LocalOptimization(num_samples=32, lr=2e-2, check_every=50, patience=4, max_steps=800)


class Shared(Scaled):
    """lambda is the mean; the covariance is a weight that all images share, and it is wrong."""

    def __init__(self, model):
        super().__init__(model)
        self.scale_tril = nn.Parameter(0.15 * torch.eye(model.latent_dim))

    def posterior(self, lam):
        return dist.MultivariateNormal(lam, scale_tril=self.scale_tril.tril())


@pytest.fixture(scope="module")
def case():
    model = linear_gaussian(2)
    with seeded(0):
        x, _ = simulate(model, 5)
    return model, x


def gap_of(model, guide, x, networks):
    found = optimize_posterior(model, guide, x, QUICK, networks=networks)
    best = bounds_at(model, guide, x, found, 4000).elbo
    return found, split_gap(model.log_evidence(x), best, best).approximation_gap.per_image


def test_frozen_networks_leave_the_gap_of_the_wrong_covariance_and_free_ones_none(case):
    model, x = case
    guide = Shared(model)
    before = {name: one.clone() for name, one in guide.state_dict().items()}
    exact = model.exact_posterior(x).covariance_matrix[0].double()
    wrong = 0.0225 * torch.eye(2).double()
    # KL(N(m, wrong) || N(m, exact))
    expected = 0.5 * ((torch.linalg.solve(exact, wrong)).trace() - 2 + exact.logdet() - wrong.logdet())
    frozen, gap = gap_of(model, guide, x, "frozen")
    assert frozen.networks == {}
    assert expected > 0.5
    torch.testing.assert_close(gap, expected.expand(5), atol=0.06, rtol=0)
    free, gap = gap_of(model, guide, x, "free")
    assert gap.abs().max() < 0.06
    assert {name: tuple(value.shape) for name, value in free.networks.items()} == {"scale_tril": (5, 2, 2)}
    found = free.networks["scale_tril"].tril().double()
    torch.testing.assert_close(found @ found.mT, exact.expand(5, 2, 2), atol=0.03, rtol=0)
    # the guide itself has not moved
    assert all(torch.equal(one, before[name]) for name, one in guide.state_dict().items())


@pytest.mark.parametrize("family", [IAF, NSF])
def test_copies_give_what_the_guide_gives(case, family):
    _, x = case
    guide = family(MLPEncoder(tuple(x.shape[1:]), [8]), 2, transforms=2)
    lam = guide.amortize(x).detach()
    own = copies(guide, lam)
    assert not any("encoder" in name or "head" in name for name in own)
    for gradients in (True, False):
        with torch.set_grad_enabled(gradients):
            z, log_q = each_with_its_own(guide, own, lam, 7)
            assert z.shape == (7, 5, 2)
            torch.testing.assert_close(guide.posterior(lam).log_prob(z.detach().clone()), log_q, atol=1e-4, rtol=1e-4)
            same = (z[:, 0] - z[:, 1]).std()
            assert same > 0
    # an image's network changes its own draws alone
    name = next(iter(own))
    own[name][0] += 0.5
    with seeded(0):
        moved, _ = each_with_its_own(guide, own, lam, 7)
    own[name][0] -= 0.5
    with seeded(0):
        before, _ = each_with_its_own(guide, own, lam, 7)
    assert not torch.allclose(moved[:, 0], before[:, 0])
    torch.testing.assert_close(moved[:, 1:], before[:, 1:])


def test_a_family_without_networks_has_none_to_free(case):
    model, x = case
    guide = MeanField(MLPEncoder(tuple(x.shape[1:]), [8]), 2)
    with pytest.raises(NotDefined, match="MeanField has no networks beside lambda"):
        optimize_posterior(model, guide, x, QUICK, networks="free")
