"""Draws of the true posterior against closed forms, and what they say of guides whose faults are known."""

import pyro.distributions as dist
import pytest
import torch
from densities import Curved, TwoBumps, images
from estimator_cases import OwnSamplesOnly, Point, Scaled, linear_gaussian

from pyro_vae.estimators import Draws, NotDefined, judge, planes, posterior, simulate


class IgnoresImages(Scaled):
    """The prior for every image, which ranks and average coverage take for calibrated."""

    def posterior(self, lam):
        return dist.Normal(torch.zeros_like(lam), 1.0).to_event(1)


@pytest.fixture(scope="module")
def case():
    torch.manual_seed(0)
    model = linear_gaussian(3)
    x, _ = simulate(model, 12)
    return model, x, posterior(model, None, x)


def test_the_draws_are_those_of_the_closed_form(case):
    model, x, true = case
    exact = model.exact_posterior(x)
    assert true.effective.min() >= 500
    torch.testing.assert_close(true.weight.sum(0), torch.ones(12).double(), check_dtype=False)
    mean = (true.weight[..., None] * true.z).sum(0)
    sd = exact.stddev
    # 500 draws know a mean to 0.045 standard deviations
    assert ((mean - exact.mean) / sd).abs().max() < 0.2
    covariance = torch.einsum("sn,snd,sne->nde", true.weight, true.z - mean, true.z - mean)
    torch.testing.assert_close(
        covariance.mean(0), exact.covariance_matrix[0].double(), atol=0.01, rtol=0.1, check_dtype=False
    )
    assert true.log_evidence.value == pytest.approx(model.log_evidence(x).mean().item(), abs=0.02)
    plain = true.resampled(400)
    assert plain.shape == (400, 12, 3)
    assert ((plain.mean(0) - exact.mean) / sd).abs().max() < 0.3
    assert len(plain[:, 0].unique(dim=0)) > 300


def test_what_the_draws_are_worth_is_what_repeats_say(case):
    model, x, _ = case
    few = Draws(chains=32, effective=100)
    off, worth = [], []
    for seed in range(15):
        true = posterior(model, None, x, draws=few, seed=seed)
        mean = (true.weight[..., None] * true.z).sum(0)
        off.append((mean - model.exact_posterior(x).mean) / model.exact_posterior(x).stddev)
        worth.append(true.effective)
    variance = torch.stack(off).square().mean(0).mean(-1)
    assert (1 / variance).mean() > 0.5 * torch.stack(worth).mean()


def test_chains_of_a_slow_posterior_go_further_until_their_draws_are_worth_enough():
    """Of 8 images with the same posterior, whose mean is (0, 1) and whose variances are 1 and 9/4."""
    long = posterior(Curved(), None, images(8))
    assert long.effective.min() >= 500
    mean = (long.weight[..., None] * long.z).sum(0)
    off = (mean - torch.tensor([0.0, 1.0])) / torch.tensor([1.0, 1.5])
    assert off.square().mean() < 4 / 500  # what 500 draws leave is 1 / 500
    short = posterior(Curved(), None, images(8), draws=Draws(most_apart=1, finer=0))
    assert short.effective.min() < 200


def test_both_modes_are_drawn_by_their_mass():
    model = TwoBumps(0.8)
    true = posterior(model, None, images(4))
    share = (true.weight * (true.z[..., 0] > 0)).sum(0)
    torch.testing.assert_close(share, torch.full((4,), 0.8), atol=0.05, rtol=0, check_dtype=False)
    assert true.modes.tolist() == [2] * 4


def test_the_right_figure_tells_each_fault(case):
    model, x, true = case
    exact, narrow, blind = (judge(model, g, x, true) for g in (Scaled(model), Scaled(model, 0.5), IgnoresImages(model)))
    # the exact posterior: nothing is wrong
    assert exact.kl_to_q.value == pytest.approx(0, abs=0.03)
    assert exact.kl_from_q.value == pytest.approx(0, abs=0.03)
    assert max(exact.coverage_50.value, exact.coverage_90.value) < 0.04
    assert exact.mass_50.value == pytest.approx(0.5, abs=0.02)
    assert exact.mass_90.value == pytest.approx(0.9, abs=0.02)
    assert exact.outside.value == pytest.approx(0, abs=0.003)
    assert exact.c2st.value == pytest.approx(0.5, abs=0.03)
    assert exact.scales.value == pytest.approx(0, abs=0.03)
    # halved scales: KL(q||p) = 3 (log 2 + 1/8 - 1/2), KL(p||q) = 3 (-log 2 + 2 - 1/2), the means as they were
    assert narrow.kl_from_q.value == pytest.approx(3 * (0.6931 + 0.125 - 0.5), abs=0.05)
    assert narrow.kl_to_q.value == pytest.approx(3 * (-0.6931 + 2 - 0.5), abs=0.15)
    assert narrow.scales.value == pytest.approx(-0.693, abs=0.04)
    assert narrow.coverage_90.value > 0.3
    # the 90 % region of q is the region |e|^2 < 6.25 / 4 of p
    assert narrow.mass_90.value == pytest.approx(0.332, abs=0.05)
    assert narrow.outside.value > 0.1
    assert narrow.means.value < 0.1
    assert narrow.c2st.value > 0.6
    # a guide that ignores x: the means are wrong, which no average over simulated images sees
    assert blind.means.value > 1
    assert blind.scales.value > 0.3
    assert blind.kl_from_q.value > 1
    assert blind.coverage_50.value > 0.2
    assert blind.coverage_90.value > 0.1


def test_guides_that_cannot_be_judged_are_refused_in_words(case):
    model, x, true = case
    with pytest.raises(NotDefined, match="scores only its own samples"):
        judge(model, OwnSamplesOnly(model), x, true)
    with pytest.raises(NotDefined, match="has none"):
        judge(model, Point(model), x, true)


def test_the_plane_is_where_q_differs_most():
    true = torch.randn(4000, 2, 4, generator=torch.Generator().manual_seed(0))
    shifted, correlated = true[:, :1].clone(), true[:, 1:].clone()
    shifted[..., 3] += 2
    shifted[..., 1] *= 0.5
    correlated[..., 2] = 0.9 * correlated[..., 0] + 0.44 * correlated[..., 2]  # no fault in either dimension alone
    assert planes(true, torch.cat([shifted, correlated], 1)).tolist() == [[1, 3], [0, 2]]
    with pytest.raises(ValueError, match="two dimensions"):
        planes(true[..., :1], true[..., :1])


def test_draws_refuse_what_makes_no_sense():
    with pytest.raises(ValueError, match="at least"):
        Draws(chains=0)
