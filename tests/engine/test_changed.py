"""What a user changes between two steps: hooks, layers, momenta, modes of own objects, frozen and added parameters."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from engine_arms import Net, X, adam, arms, guide, model
from pyro import poutine
from pyro.infer import Trace_ELBO
from torch import nn

from pyro_vae import SVI

QUIET = {"audit": False}  #: what an audit would find only at the next power of two


def test_the_momentum_of_rmsprop_follows_its_schedule():
    def make():
        arguments = {"optimizer": torch.optim.RMSprop, "optim_args": {"lr": 0.01, "momentum": 0.9}}
        optim = pyro.optim.OneCycleLR({**arguments, "max_lr": 0.05, "total_steps": 40})
        return model, guide, optim, Trace_ELBO(), optim

    def drive(svi, context, i):
        loss = svi.step(X)
        context[0].step()
        return loss

    svi = arms(make, steps=20, drive=drive, **QUIET)
    assert len(svi._captured.graphs) == 1


class Switched:
    """No module, but with a mode of its own."""

    def __init__(self):
        self.training = True

    def model(self, x):
        mean = pyro.sample("mean", dist.Normal(0.0, 5.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(mean, 1.0 if self.training else 10.0), obs=x)


def test_an_attribute_called_training_of_an_object_that_is_no_module():
    def make():
        switched = Switched()
        return switched.model, guide, adam(), Trace_ELBO(), switched

    def drive(svi, context, i):
        context[0].training = i < 6
        return svi.step(X)

    arms(make, drive=drive, **QUIET)


def halved(*outputs):
    return outputs[-1] / 2


@pytest.mark.parametrize(
    "change",
    [
        lambda net: net.layers[1].register_forward_hook(halved),
        lambda net: net.layers[0].weight.register_hook(halved),
        lambda net: net.layers.__setitem__(1, nn.Sigmoid()),
        lambda net: setattr(net.layers[1], "momentum", 0.9),
    ],
    ids=["a hook of a module", "a hook of a gradient", "another layer", "the momentum of a batch norm"],
)
def test_what_is_changed_in_a_network(change):
    def make():
        net = Net(nn.BatchNorm1d(8))
        return net.model, net.guide, pyro.optim.SGD({"lr": 1e-3}), Trace_ELBO(), net

    def drive(svi, context, i):
        if i == 6:
            change(context[0])
        norms = [layer for layer in context[0].layers if isinstance(layer, nn.BatchNorm1d)]
        return svi.step(X + i) + 1e3 * sum(norm.running_mean.sum().item() for norm in norms)

    arms(make, drive=drive, **QUIET)


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.loc, self.shift = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))

    def model(self, x):
        mean = pyro.sample("mean", dist.Normal(0.0, 5.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(mean + self.shift, 1.0), obs=x)

    def guide(self, x):
        pyro.sample("mean", dist.Normal(self.loc, 1.0))


def by_hand(parameters, steps, change):
    """The same steps by Pyro's loss and torch's optimizer alone."""
    torch.manual_seed(0)
    two = Two()
    optimizer = torch.optim.Adam(parameters(two), lr=0.1)
    for i in range(steps):
        change(two, optimizer, i)
        optimizer.zero_grad()
        Trace_ELBO(max_plate_nesting=1).differentiable_loss(two.model, two.guide, X).backward()
        optimizer.step()
    return two.loc.item(), two.shift.item()


def frozen_at_first(two, optimizer, i):
    two.shift.requires_grad_(i >= 6)


def added_later(two, optimizer, i):
    if i == 6:
        optimizer.add_param_group({"params": [two.shift]})
    two.shift.grad = None if i < 6 else two.shift.grad


@pytest.mark.parametrize("engine", ["eager", "captured"])
@pytest.mark.parametrize(
    ("parameters", "change"),
    [(lambda two: two.parameters(), frozen_at_first), (lambda two: [two.loc], added_later)],
    ids=["frozen", "added"],
)
def test_a_torch_optimizer_with_frozen_parameters_and_with_parameters_that_are_added_later(engine, parameters, change):
    expected = by_hand(parameters, 12, change)
    torch.manual_seed(0)
    two = Two()
    optimizer = torch.optim.Adam(parameters(two), lr=0.1)
    svi = SVI(two.model, two.guide, optimizer, Trace_ELBO(max_plate_nesting=1), engine=engine)
    for i in range(12):
        change(two, optimizer, i)
        svi.step(X)
        assert i >= 6 or two.shift.item() == 0
    assert abs(expected[1]) > 0.1
    assert (two.loc.item(), two.shift.item()) == pytest.approx(expected, rel=1e-4)


def test_another_function_in_a_handler_around_the_step():
    class Scaled(poutine.messenger.Messenger):
        def __init__(self, factor):
            super().__init__()
            self.factor = factor

        def _pyro_sample(self, msg):
            msg["scale"] = self.factor(msg["scale"])

    def drive(svi, _, i):
        with Scaled((lambda s: 3 * s) if i < 5 else (lambda s: 0.5 * s)):
            return svi.step(X)

    svi = arms(lambda: (model, guide, adam(), Trace_ELBO()), drive=drive, **QUIET)
    assert len(svi._captured.graphs) == 2
