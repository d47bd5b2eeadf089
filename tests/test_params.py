"""Plain Pyro finds the parameters of models and guides, and no two of them ever share one."""

import copy
from collections.abc import Iterator

import pyro
import pyro.infer
import pyro.optim
import pytest
import torch
from torch import nn

from guides import FullRank, MeanField, MLPEncoder
from pyro_vae.models import VAE, Bernoulli, MLPDecoder, StandardNormal
from pyro_vae.objectives import IWAE, STL, DReG, RenyiELBO, Trace_ELBO, TraceMeanField_ELBO

SHAPE = (1, 4, 4)


@pytest.fixture(autouse=True)
def store() -> Iterator[None]:
    with pyro.get_param_store().scope():
        yield


def model() -> VAE:
    return VAE(MLPDecoder(2, SHAPE, [8]), Bernoulli(SHAPE), StandardNormal(2))


def guide(family=MeanField):
    return family(MLPEncoder(SHAPE, [8]), 2)


def values(module: nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in module.parameters()]


def moved(module: nn.Module, before: list[torch.Tensor]) -> list[bool]:
    return [not torch.equal(p, old) for p, old in zip(module.parameters(), before, strict=True)]


def images() -> torch.Tensor:
    torch.manual_seed(1)
    return (torch.rand(16, *SHAPE) < 0.4).float()


def fit(m: VAE, g: nn.Module, x: torch.Tensor, steps: int = 3, loss=None) -> pyro.infer.SVI:
    svi = pyro.infer.SVI(m, g, pyro.optim.Adam({"lr": 0.01}), loss or pyro.infer.Trace_ELBO())
    for _ in range(steps):
        svi.step(x)
    return svi


def test_two_guides_in_one_process_both_move_and_share_nothing():
    torch.manual_seed(0)
    x, m, first, second = images(), model(), guide(), guide()
    before = [values(module) for module in (m, first, second)]
    fit(m, first, x)
    assert all(moved(m, before[0]))
    assert all(moved(first, before[1]))
    assert not any(moved(second, before[2]))
    after_first = values(first)
    fit(m, second, x)
    assert all(moved(second, before[2]))
    assert not any(moved(first, after_first))
    assert not {p.data_ptr() for p in first.parameters()} & {p.data_ptr() for p in second.parameters()}


def test_a_guide_of_another_family_under_the_same_model():
    torch.manual_seed(0)
    x, m, first, second = images(), model(), guide(), guide(FullRank)
    fit(m, first, x)
    before = values(second)
    fit(m, second, x)  # the same names with other shapes: Pyro's store would hand back the first guide's tensors
    assert all(moved(second, before))
    assert second.head.weight.shape == (5, 8)


@pytest.mark.parametrize("trained_before", [False, True])
def test_a_deep_copy_has_its_own_parameters(trained_before):
    torch.manual_seed(0)
    x, m, original = images(), model(), guide()
    if trained_before:
        fit(m, original, x)
    twin = copy.deepcopy(original)
    start = values(original)
    fit(m, twin, x)
    assert all(moved(twin, start))
    assert not any(moved(original, start))
    fit(m, original, x)
    assert all(moved(original, start))
    assert all(not torch.equal(a, b) for a, b in zip(original.parameters(), twin.parameters(), strict=True))


def test_the_optimizer_holds_the_modules_own_tensors():
    torch.manual_seed(0)
    x, m, g = images(), model(), guide()
    svi = fit(m, g, x)
    optimised = {
        p for optimizer in svi.optim.optim_objs.values() for group in optimizer.param_groups for p in group["params"]
    }
    assert optimised == {*m.parameters(), *g.parameters()}
    assert len(pyro.get_param_store()) == len(optimised)


@pytest.mark.parametrize(
    "loss",
    [Trace_ELBO(2), TraceMeanField_ELBO(2), IWAE(2), RenyiELBO(0.5, 2), STL(2), DReG(2)],
    ids=lambda loss: type(loss).__name__,
)
def test_plain_pyro_trains_by_every_objective(loss):
    torch.manual_seed(0)
    x, m, g = images(), model(), guide()
    before = values(m), values(g)
    svi = fit(m, g, x, 100, loss)
    assert all(moved(m, before[0]))
    assert all(moved(g, before[1]))
    untrained, untrained_guide = model(), guide()
    # The mean over 50 passes of 16 images of 16 pixels: training is worth far more than their noise.
    gain = sum(loss.loss(untrained, untrained_guide, x) - svi.evaluate_loss(x) for _ in range(50)) / 50 / 16
    assert gain > 0.5


def test_nothing_enters_the_store_where_nobody_collects():
    torch.manual_seed(0)
    x, m, g = images(), model(), guide()
    Trace_ELBO()(m, g)(x).backward()
    m(n=3)
    assert len(pyro.get_param_store()) == 0
