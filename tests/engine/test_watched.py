"""S9 to S15: what a graph depends on beyond its arguments is watched; the audit finds the rest."""

import random
from argparse import Namespace

import numpy as np
import pyro
import pyro.contrib.gp as gp
import pyro.distributions as dist
import pytest
import torch
from engine_arms import Net, X, adam, arms, guide, model
from pyro import poutine
from pyro.infer import Trace_ELBO
from torch import nn

from pyro_vae import SVI
from pyro_vae.engine import AuditError, CaptureError


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
