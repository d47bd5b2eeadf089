"""What a graph might get wrong in silence: each program beside ``pyro.infer.SVI``, with changes between steps."""

import copy

import pyro
import pyro.distributions as dist
import pytest
import torch
from engine_arms import Net, X, adam, arms, guide, model
from pyro.infer import Trace_ELBO, TraceGraph_ELBO, autoguide
from torch import nn

from pyro_vae import SVI


def test_s1_the_same_seed_gives_the_same_losses_from_the_first_step():
    arms(lambda: (model, autoguide.AutoNormal(model), adam(), Trace_ELBO()))


@pytest.mark.parametrize("clip", [{"clip_norm": 1.0}, {"clip_value": 0.5}])
def test_s2_gradients_are_clipped_as_pyros_optimizer_does(clip):
    arms(lambda: (model, guide, pyro.optim.SGD({"lr": 0.01}, clip), Trace_ELBO()))


SCHEDULERS = {
    "MultiStepLR": {"milestones": [3, 6], "gamma": 0.1},
    "ExponentialLR": {"gamma": 0.7},
    "OneCycleLR": {"max_lr": 0.1, "total_steps": 20},
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_s3_schedulers_move_the_rates(name):
    def make():
        options = {"optimizer": torch.optim.Adam, "optim_args": {"lr": 0.05}, **SCHEDULERS[name]}
        schedule = getattr(pyro.optim, name)(options)
        return model, guide, schedule, Trace_ELBO(), schedule

    def drive(svi, context, i):
        loss = svi.step(X)
        context[0].step()
        return loss

    arms(make, drive=drive)


@pytest.mark.parametrize("name", ["Adam", "ClippedAdam", "SGD"])
def test_s4_the_optimizers_state_is_loaded_before_and_saved_after(name, tmp_path):
    options = {"lr": 0.02, **({"momentum": 0.9} if name == "SGD" else {}), **({"lrd": 0.9} if name[0] == "C" else {})}
    options["lr"] /= 100 if name == "SGD" else 1

    def make():
        return model, guide, getattr(pyro.optim, name)(options), Trace_ELBO()

    first = arms(make)
    first.optim.save(tmp_path / "optim")
    state = first.optim.get_state()
    assert set(state) == {"loc", "scale"}
    assert all(own["state"] for own in state.values())
    store = pyro.get_param_store().get_state()

    def resumed():
        pyro.get_param_store().set_state(copy.deepcopy(store))
        optim = getattr(pyro.optim, name)(options)
        optim.load(tmp_path / "optim")
        return model, guide, optim, Trace_ELBO()

    arms(resumed)


def test_s5_two_svis_share_one_optimizer():
    def make():
        optim = adam()
        return model, guide, optim, Trace_ELBO(), optim

    others = {}

    def drive(svi, context, i):
        if id(svi) not in others:
            extra = {"engine": "captured"} if isinstance(svi, SVI) else {}
            others[id(svi)] = type(svi)(model, guide, context[0], TraceGraph_ELBO(), **extra)
        return (svi if i % 2 else others[id(svi)]).step(X)

    arms(make, drive=drive)


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.BatchNorm1d(8), nn.LayerNorm(8)], ids=lambda x: type(x).__name__)
def test_s6_the_mode_and_the_buffers_of_a_module_behind_bound_methods(layer):
    def make():
        net = Net(copy.deepcopy(layer))  # gradients that are zero but for rounding would be scaled up by Adam
        return net.model, net.guide, pyro.optim.SGD({"lr": 1e-3}), Trace_ELBO(), net

    nets = []

    def drive(svi, context, i):
        context[0].train(i < 6 or i > 9)
        nets.append(context[0])
        return svi.step(X)

    arms(make, drive=drive)
    for a, b in zip(nets[0].buffers(), nets[-1].buffers(), strict=True):
        torch.testing.assert_close(a, b)


def test_s7_a_parameter_that_appears_in_another_graph_is_trained():
    def named(x, n):
        pyro.sample("mean", dist.Delta(pyro.param("loc_" + n, lambda: torch.randn(()))))

    arms(lambda: (model, named, adam(), Trace_ELBO()), 20, lambda svi, _, i: svi.step(X, "aaaaabbbbbabababccaa"[i]))


def test_s8_a_parameter_without_a_gradient_in_a_step_goes_on_by_its_momentum():
    def two(x, first):
        a, b = pyro.param("a", torch.tensor(0.0)), pyro.param("b", torch.tensor(0.0))
        pyro.sample("mean", dist.Delta(a if first else b))

    arms(lambda: (model, two, adam(), Trace_ELBO()), 16, lambda svi, _, i: svi.step(X, i % 2 == 0))


def test_s16_the_rows_of_a_subsample_reach_an_optimizer_that_asks_for_them():
    def local(x):
        with pyro.plate("data", 40, subsample_size=10) as rows:
            pyro.sample("x", dist.Normal(pyro.sample("z", dist.Normal(0.0, 1.0)), 1.0), obs=x[rows])

    def amortized(x):
        with pyro.plate("data", 40, subsample_size=10):
            loc = pyro.param("l", torch.zeros(40), event_dim=0)
            pyro.sample("z", dist.Normal(loc, 1.0))

    arms(lambda: (local, amortized, pyro.optim.DCTAdam({"lr": 0.05, "subsample_aware": True}), Trace_ELBO()))


class Waits(nn.Module):
    """Waiting times, with a buffer that each step moves, and an argument that may make the loss NaN."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(1)

    def model(self, x, by=1.0):
        pyro.module("waits", self)
        rate = pyro.param("rate", torch.tensor(1.0), constraint=dist.constraints.positive)
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(self.norm(x[:, None]).squeeze(-1), 1.0))
            pyro.sample("x", dist.Exponential(rate), obs=x)
        pyro.factor("odd", torch.tensor(0.0) * by)

    def guide(self, x, by=1.0):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 1.0))


@pytest.mark.parametrize("name", ["Adam", "ClippedAdam", "Adamax"])
def test_s17_a_value_outside_the_support_is_pyros_error_before_anything_moves(name):
    """Its loss is finite; Adamax steps beside the graph."""
    nets, times = [], X.abs() + 0.1

    def make():
        nets.append(Waits())
        options = {"lr": 0.05, **({"lrd": 0.9} if name[0] == "C" else {})}
        return nets[-1].model, nets[-1].guide, getattr(pyro.optim, name)(options), Trace_ELBO()

    def drive(svi, _, i):
        if i in (5, 6, 10):
            with pytest.raises(ValueError, match=r"(?s)site 'x'.*GreaterThanEq"):
                svi.step(-times)
            return torch.rand(()).item()  # the state of the random numbers is Pyro's
        return svi.step(times)

    svi = arms(make, drive=drive)
    assert len(svi._captured.graphs) == 1
    for a, b in zip(nets[0].buffers(), nets[1].buffers(), strict=True):
        torch.testing.assert_close(a, b)


def test_s17_a_loss_that_is_no_number_is_pyros_warning_and_step():
    times = X.abs() + 0.1

    def drive(svi, _, i):
        with pyro.validation_enabled(False):
            if i == 5:
                with pytest.warns(UserWarning, match="NaN: loss"):
                    assert svi.step(times, torch.tensor(torch.nan)) != 0.0
                return 0.0
            return svi.step(times, torch.tensor(1.0))

    def make():
        net = Waits()
        return net.model, net.guide, adam(), Trace_ELBO()

    arms(make, drive=drive)


def test_s17_values_that_carry_their_provenance():
    """TraceGraph_ELBO wraps what a discrete latent makes; a wrapper that is not taken off would be a constant."""

    def flips(x):
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(pyro.sample("which", dist.Bernoulli(0.5)), 1.0), obs=x)

    def guess(x):
        value = pyro.param("value", torch.tensor(-1.0)).expand(40)
        p = pyro.param("p", torch.tensor(0.3), constraint=dist.constraints.unit_interval)
        with pyro.plate("data", len(x)):
            pyro.sample("which", dist.Bernoulli(p), infer={"baseline": {"baseline_value": value}})

    arms(lambda: (flips, guess, adam(), TraceGraph_ELBO()))


def test_s17_validation_is_the_users():
    """A value outside the support is no error where validation is off, and is one again where it is on."""
    times = X.abs() + 0.1

    def drive(svi, _, i):
        with pyro.validation_enabled(i < 3 or i > 7):
            if i > 7:
                with pytest.raises(ValueError, match="site 'x'"):
                    svi.step(-times)
                return 0.0
            return svi.step(times if i < 3 else -times)

    def make():
        net = Waits()
        return net.model, net.guide, adam(), Trace_ELBO()

    arms(make, drive=drive)


@pytest.mark.parametrize("name", ["Adam", "SGD", "ClippedAdam", "RMSprop"])
def test_one_graph_serves_all_steps_with_the_optimizer_in_it(name):
    svi = arms(lambda: (model, guide, getattr(pyro.optim, name)({"lr": 0.001}), Trace_ELBO()), steps=20)
    (graph,) = svi._captured.graphs
    assert graph.bound is not None
    assert svi._captured.steps == 19


def test_auto_takes_a_hundred_steps_before_it_compiles(monkeypatch):
    monkeypatch.setattr("pyro_vae.engine.svi.compile_graph", lambda graph, arguments: None)
    svi = SVI(model, guide, adam(), Trace_ELBO())
    for _ in range(100):
        svi.step(X)
    assert svi._captured is None
    for _ in range(3):
        svi.step(X)
    assert svi.engine == "compiled"
    assert len(svi._captured.graphs) == 1


def test_a_step_record_is_the_step_and_says_what_it_moved_by():
    records = []
    for engine in ("eager", "captured"):
        pyro.clear_param_store()
        pyro.set_rng_seed(0)
        svi = SVI(model, guide, adam(), Trace_ELBO(), engine=engine)
        records.append(torch.stack([torch.stack(svi.step_record(X)[:4]) for _ in range(5)]))
    torch.testing.assert_close(*records, rtol=1e-5, atol=1e-5, equal_nan=True)
    assert (records[0][:, 3] > 1).all()
