"""What a graph might get wrong in silence: each program beside ``pyro.infer.SVI``, with changes between steps."""

import copy
import random
from argparse import Namespace

import numpy as np
import pyro
import pyro.contrib.gp as gp
import pyro.distributions as dist
import pytest
import torch
from engine_arms import X, adam, arms, guide, model
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceGraph_ELBO, autoguide
from torch import nn

from pyro_vae import SVI
from pyro_vae.engine import AuditError, CaptureError


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


class Net(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(1, 8), layer, nn.Tanh(), nn.Linear(8, 2))

    def model(self, x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.sample("x", dist.Normal(z, 1.0), obs=x)

    def guide(self, x):
        pyro.module("net", self)
        loc, scale = self.layers(x[:, None]).unbind(-1)
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(loc, scale.exp()))


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


@pytest.mark.filterwarnings("ignore:.*was not registered in the param store")
def test_s9_weights_that_are_frozen_and_thawed_between_steps():
    def make():
        net = Net(nn.LayerNorm(8))
        return net.model, net.guide, adam(), Trace_ELBO(), net

    def drive(svi, context, i):
        context[0].layers[0].weight.requires_grad_(not 4 <= i < 9)
        return svi.step(X)

    arms(make, drive=drive)


@pytest.mark.parametrize("change", ["cleared", "assigned"])
def test_s10_the_param_store_is_cleared_or_assigned_between_steps(change):
    def drive(svi, _, i):
        if i == 6 and change == "cleared":
            pyro.clear_param_store()
        elif i == 6:
            pyro.get_param_store()["loc"] = torch.tensor(5.0)
        return svi.step(X)

    arms(lambda: (model, guide, adam(), Trace_ELBO()), drive=drive)


def test_s11_data_that_a_module_is_given_for_each_batch():
    t = torch.linspace(0, 1, 10)

    def make():
        kernel = gp.kernels.RBF(1)
        sparse = gp.models.SparseGPRegression(t, t, kernel, Xu=t[:3].clone(), jitter=1e-3)
        return sparse.model, sparse.guide, adam(), Trace_ELBO(), sparse

    def drive(svi, context, i):
        context[0].set_data(t, t + i)
        return svi.step()

    svi = arms(make, drive=drive)
    assert len(svi._captured.graphs) == 1


def test_s11_an_attribute_or_an_argument_whose_tensor_is_replaced():
    class Holder:
        def __init__(self):
            self.data = X

        def model(self, box):
            model(self.data + box.shift)

    def make():
        holder = Holder()
        return holder.model, lambda box: guide(X), adam(), Trace_ELBO(), holder

    def drive(svi, context, i):
        context[0].data = X + i
        return svi.step(Namespace(shift=torch.full((40,), float(i)), name="a"))

    svi = arms(make, drive=drive)
    assert len(svi._captured.graphs) == 1


class Annealed:
    def __init__(self):
        self.beta = 1.0

    def model(self, x):
        with poutine.scale(scale=self.beta):
            model(x)


def test_s12_a_number_that_a_model_holds_is_an_input():
    def make():
        annealed = Annealed()
        return annealed.model, guide, adam(), Trace_ELBO(), annealed

    def drive(svi, context, i):
        context[0].beta = 0.1 + i / 10
        return svi.step(X)

    assert len(arms(make, drive=drive)._captured.graphs) == 1


def test_s12_particles_of_the_elbo_and_a_handler_around_the_step():
    def make():
        elbo = Trace_ELBO()
        return model, guide, adam(), elbo, elbo

    def drive(svi, context, i):
        context[0].num_particles = 1 + i // 6
        with poutine.scale(scale=1.0 + i / 4):
            return svi.step(X)

    arms(make, drive=drive)


def test_s13_a_closed_over_tensor_that_is_read():
    def make():
        beta = torch.tensor(1.0)

        def annealed(x):
            with poutine.scale(scale=beta.item() if beta > 0.5 else 0.25):
                model(x)

        return annealed, guide, adam(), Trace_ELBO(), beta

    def drive(svi, context, i):
        if i % 4 == 3:
            context[0].mul_(0.5)
        return svi.step(X)

    arms(make, drive=drive)


def test_s14_modules_that_are_never_registered_are_not_trained():
    def make():
        net = nn.Linear(1, 1)

        def amortized(x):
            net(x[:, None])
            guide(x)

        return model, amortized, adam(), Trace_ELBO(), net

    def drive(svi, context, i):
        before = [p.detach().clone() for p in context[0].parameters()]
        loss = svi.step(X)
        for p, b in zip(context[0].parameters(), before, strict=True):
            assert torch.equal(p, b)
        return loss

    arms(make, drive=drive)


class Counting:
    def __init__(self):
        self.calls = 0

    def model(self, x):
        self.calls += 1
        with poutine.scale(scale=1.0 if self.calls < 20 else 0.1):
            model(x)


def rarely(x):
    with poutine.scale(scale=0.1 if random.random() < 0.2 else 1.0):
        model(x)


def by_numpy(x):
    with poutine.scale(scale=np.random.rand() + 0.5):  # noqa: NPY002 (it is what programs use)
        model(x)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Counting().model, "model.calls changes from 1 to 2"),
        (lambda: rarely, "Python's random"),
        (lambda: by_numpy, "NumPy's random"),
    ],
)
def test_s15_state_of_pythons_is_refused_by_its_name_and_left_alone(make, reason):
    pyro.set_rng_seed(0)
    program = make()
    svi = SVI(program, guide, adam(), Trace_ELBO(), engine="captured")
    svi.step(X)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    params = {n: p.detach().clone() for n, p in pyro.get_param_store()._params.items()}
    with pytest.raises(CaptureError, match=reason):
        svi.step(X)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[1:]  # noqa: NPY002
    assert getattr(program, "__self__", Namespace(calls=1)).calls == 1
    for name, value in params.items():
        assert torch.equal(pyro.get_param_store()._params[name], value)


def test_s15_what_no_watch_sees_is_found_by_the_audit_which_names_the_site():
    hidden = Hidden()

    def sneaky(x):
        mean = pyro.sample("mean", dist.Normal(0.0, 5.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(mean, hidden.value), obs=x)

    svi = SVI(sneaky, guide, adam(), Trace_ELBO(), engine="captured")
    for _ in range(5):
        svi.step(X)
    hidden.value = 0.5
    with pytest.raises(AuditError, match="first sample site that differs is 'x'"):
        [svi.step(X) for _ in range(8)]


class Hidden:
    """A number that cannot be watched: it is held by a slot and not by a dictionary."""

    __slots__ = ("value",)

    def __init__(self):
        self.value = 1.0


def test_s16_the_rows_of_a_subsample_reach_an_optimizer_that_asks_for_them():
    def local(x):
        with pyro.plate("data", 40, subsample_size=10) as rows:
            pyro.sample("x", dist.Normal(pyro.sample("z", dist.Normal(0.0, 1.0)), 1.0), obs=x[rows])

    def amortized(x):
        with pyro.plate("data", 40, subsample_size=10):
            loc = pyro.param("l", torch.zeros(40), event_dim=0)
            pyro.sample("z", dist.Normal(loc, 1.0))

    arms(lambda: (local, amortized, pyro.optim.DCTAdam({"lr": 0.05, "subsample_aware": True}), Trace_ELBO()))


def test_s17_a_loss_that_is_no_number_is_pyros_error_or_warning():
    def flips(x):
        p = pyro.param("p", torch.tensor(0.5), constraint=dist.constraints.unit_interval)
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Bernoulli(p), obs=x)

    coins = torch.ones(8)
    svi = SVI(flips, lambda x: None, adam(), Trace_ELBO(), engine="captured")
    for _ in range(3):
        svi.step(coins)
    with pytest.raises(ValueError, match=r"support|constraint"):
        svi.step(coins * torch.nan)


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
