"""Programs that nobody had in sight when the engine was made: those without a static graph, refused at the right line.

Those with one are in the suite (``benchmarks/program_aside*.py``), which ``test_programs.py`` captures.
"""

import inspect

import pyro
import pyro.distributions as dist
import pytest
import torch
from engine_arms import X, adam, arms, guide
from pyro.distributions.testing.rejection_gamma import ShapeAugmentedGamma
from pyro.infer import Trace_ELBO, TraceGraph_ELBO
from torch import nn

from benchmarks.program_case import ASIDE
from benchmarks.programs import PROGRAMS
from pyro_vae import SVI
from pyro_vae.engine import CaptureError


def counts_its_words(x):
    mean = pyro.sample("mean", dist.Normal(0.0, 5.0))
    length = int(x.abs().sum())
    pyro.factor("f", mean * length)


def draws_until_it_is_positive(x):
    mean = pyro.sample("mean", dist.Normal(0.0, 5.0))
    while mean < 0:
        mean = mean + 1
    pyro.sample("x", dist.Normal(mean, 1.0).expand([40]).to_event(1), obs=x)


LAYER = nn.GRU(1, 1, batch_first=True).requires_grad_(False)


def packs_its_sequences(x):
    mean = pyro.sample("mean", dist.Normal(0.0, 5.0))
    lengths = (x.reshape(4, 10) > 0).sum(-1)
    packed = nn.utils.rnn.pack_padded_sequence(x.reshape(4, 10, 1), lengths, True, False)
    states, _ = LAYER(packed)
    pyro.factor("f", states.data.sum() * mean)


def draws_by_rejection(x):
    pyro.sample("mean", dist.Normal(0.0, 5.0))
    concentration = pyro.param("concentration", torch.tensor(2.0), constraint=dist.constraints.positive)
    noise = ShapeAugmentedGamma(concentration, torch.tensor(1.0)).rsample()
    pyro.factor("f", x.sum() * noise)


def draws_from_a_generator_of_its_own(x):
    mean = pyro.sample("mean", dist.Normal(0.0, 5.0))
    noise = torch.randn(40, generator=torch.Generator().manual_seed(0))
    pyro.sample("x", dist.Normal(mean + noise, 1.0).to_event(1), obs=x)


def keeps_what_is_positive(x):
    mean = pyro.sample("mean", dist.Normal(0.0, 5.0))
    rows = torch.nonzero(x > mean)
    pyro.factor("f", x[rows].sum() * mean)


REFUSED = {
    counts_its_words: "int(x.abs().sum())",
    draws_until_it_is_positive: "while mean < 0",
    packs_its_sequences: "LAYER(packed)",
    draws_by_rejection: "ShapeAugmentedGamma",
    draws_from_a_generator_of_its_own: "torch.randn(40, generator",
    keeps_what_is_positive: "torch.nonzero",
}


@pytest.mark.parametrize("program", REFUSED, ids=lambda p: p.__name__)
def test_a_refusal_names_the_right_line(program):
    source, first = inspect.getsourcelines(program)
    number = first + next(i for i, line in enumerate(source) if REFUSED[program] in line)
    svi = SVI(program, guide, adam(), Trace_ELBO(), engine="captured")
    svi.step(X)
    with pytest.raises(CaptureError) as error:
        svi.step(X)
    assert f"{__file__}:{number}, in {program.__name__}" in str(error.value)
    assert "after sample site 'mean'" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_decaying_average_is_refused_by_the_name_of_its_parameter():
    def flips(x):
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(pyro.sample("which", dist.Bernoulli(0.5)), 1.0), obs=x)

    def guess(x):
        p = pyro.param("p", torch.tensor(0.3), constraint=dist.constraints.unit_interval)
        with pyro.plate("data", len(x)):
            pyro.sample("which", dist.Bernoulli(p), infer={"baseline": {"use_decaying_avg_baseline": True}})

    svi = SVI(flips, guess, adam(), TraceGraph_ELBO(), engine="captured")
    svi.step(X)
    with pytest.raises(CaptureError, match="the pass assigns '__baseline_avg"):
        svi.step(X)


class Averaging(nn.Module):
    """A running mean that is assigned, not changed in place: a graph would read the first one for ever."""

    def __init__(self, in_place):
        super().__init__()
        self.in_place = in_place
        self.register_buffer("mean", torch.zeros(()))

    def model(self, x):
        pyro.sample("x", dist.Normal(self.mean, 1.0).expand([40]).to_event(1), obs=x)
        if self.in_place:
            self.mean.lerp_(x.mean(), 0.1)
        else:
            self.mean = self.mean.lerp(x.mean(), 0.1)

    def guide(self, x):
        pyro.param("unused", torch.tensor(0.0))


def test_what_is_assigned_in_each_pass_and_read_by_the_next_is_refused_by_its_name():
    averaging = Averaging(in_place=False)
    svi = SVI(averaging.model, averaging.guide, adam(), Trace_ELBO(), engine="captured")
    svi.step(X)
    with pytest.raises(CaptureError, match=r"model.mean is assigned in each pass.*in place"):
        svi.step(X)


def test_a_module_of_torchscript():
    x = X[:, None]

    class Scripted(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = torch.jit.trace(nn.Linear(1, 2), x)

        def model(self, x):
            with pyro.plate("data", len(x)):
                pyro.sample("x", dist.Normal(pyro.sample("z", dist.Normal(0.0, 1.0)), 1.0), obs=x[:, 0])

        def guide(self, x):
            pyro.module("net", self.net)
            loc, scale = self.net(x).unbind(-1)
            with pyro.plate("data", len(x)):
                pyro.sample("z", dist.Normal(loc, scale.exp()))

    def make():
        scripted = Scripted()
        return scripted.model, scripted.guide, adam(), Trace_ELBO()

    arms(make, drive=lambda svi, _, i: svi.step(x))


def test_twenty_programs_are_kept_aside():
    assert len(ASIDE) >= 20
    assert set(PROGRAMS) >= ASIDE
