"""Couplings of dimensions are damped on the path from the features, so that each counts in its own units."""

import pytest
import torch
from family_cases import build

from guides import GUIDES, MLPEncoder
from guides.base import Head
from pyro_vae.nn import softplus_scale


@pytest.mark.parametrize("name", ["FullRank", "LowRank", "NSF", "Planar", "Radial", "RealNVP", "Sylvester"])
def test_couplings_count_in_units_of_the_posterior_s_scale(name: str) -> None:
    """Under the same noise, other means and scales shift and scale a sample, and change nothing else of it."""
    guide, d = build(name, 3), 3
    floor = 1e-2 if name == "LowRank" else 1e-4
    lam = torch.randn(4, guide.head.out_features)
    other = torch.cat([torch.randn(4, 2 * d) - 2, lam[:, 2 * d :]], dim=-1)
    standardised = []
    for each in (lam, other):
        torch.manual_seed(1)
        loc, scale = each[:, :d], softplus_scale(each[:, d : 2 * d], floor)
        standardised.append((guide.posterior(each).rsample((5,)) - loc) / scale)
    torch.testing.assert_close(*standardised, rtol=1e-4, atol=1e-5)


def test_damped_couplings_together_are_as_fast_as_one_parameter() -> None:
    """Two means, two scales and two transforms of three couplings each, and a step of all the head's biases."""
    head = Head(4, 10, num_couplings=6, groups=2)
    x = torch.randn(3, 4)
    plain = torch.nn.functional.linear(x, head.weight, head.bias)
    torch.testing.assert_close(head(x), torch.cat([plain[:, :4], plain[:, 4:] / 3], -1))
    before = head(x)
    with torch.no_grad():
        head.bias += 0.3
    moved = head(x) - before
    torch.testing.assert_close(moved[:, :4], torch.full((3, 4), 0.3))
    for group in moved[:, 4:].split(3, dim=-1):
        torch.testing.assert_close(group.sum(-1), torch.full((3,), 0.3))
    assert Head(4, 10)(x).shape == (3, 10)


@pytest.mark.parametrize("name", ["FullRank", "LowRank", "Mixture", "Planar", "Radial", "Sylvester"])
def test_all_but_means_and_scales_are_damped(name: str) -> None:
    guide = GUIDES[name](MLPEncoder((1, 8, 8)), latent_dim=4)
    pace = guide.head.pace
    assert (pace[:8] == 1).all()
    assert len(pace) > 8
    groups = guide.num_transforms if name in ("Radial", "Sylvester") else 1
    torch.testing.assert_close(pace[8:].sum(), torch.tensor(float(groups)))
    assert "head.pace" not in guide.state_dict()
