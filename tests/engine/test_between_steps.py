"""What changes between two steps changes the step, as in Pyro. There is no audit here that could find it instead."""

import math
from argparse import Namespace

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from engine_arms import X, adam, arms, guide, model
from pyro import poutine
from pyro.infer import Trace_ELBO
from torch import nn

from pyro_vae import SVI
from pyro_vae.engine import CaptureError

AT = 5  #: the step before which it changes
WEIGHT = 1.0  #: a global variable that models read


class Weighted(nn.Module):
    """A model whose weight is read in many ways."""

    default = 1.0
    table: dict = {"w": 1.0}  # noqa: RUF012 (a table of the class is what is tested)

    def __init__(self):
        super().__init__()
        self.tensor = torch.tensor(1.0)
        self.rows = torch.zeros(40)
        self.mask = torch.ones(40, dtype=torch.bool)
        self.parts = [1.0]
        self.named = {"a": 1.0}
        self.array = np.ones(2)
        self.settings = Namespace(weight=1.0)
        self.way = None

    def forward(self, x):
        x = x[self.mask] if self.way == "mask" else x
        with poutine.scale(scale=self.weight()):
            model(x)

    def weight(self):
        ways = {"global": self.by_global, "class": self.by_class, "table": self.by_table, "item": self.by_item}
        ways |= {"length": self.by_length, "mask": self.by_mask, "parts": self.by_parts, "names": self.by_names}
        return (ways | {"array": self.by_array, "settings": self.by_settings})[self.way]()

    def by_global(self):
        return WEIGHT

    def by_class(self):
        return self.default

    def by_table(self):
        return self.table["w"]

    def by_item(self):
        return self.tensor.item()

    def by_length(self):
        return len(self.rows) / 40

    def by_mask(self):
        return 1.0

    def by_parts(self):
        return sum(self.parts)

    def by_names(self):
        return float(len(self.named))

    def by_array(self):
        return float(self.array.sum())

    def by_settings(self):
        return self.settings.weight


def set_global(held):
    global WEIGHT
    WEIGHT = 0.3


CHANGES = {
    "a global variable that a method reads": ("global", set_global),
    "an attribute in the place of the class's": ("class", lambda held: setattr(held, "default", 0.3)),
    "an entry of a table of the class": ("table", lambda held: held.table.update(w=0.3)),
    "a tensor that is read, replaced": ("item", lambda held: setattr(held, "tensor", torch.tensor(0.3))),
    "a tensor that is read, by its data": ("item", lambda held: held.tensor.data.fill_(0.3)),
    "a tensor whose length is read, replaced": ("length", lambda held: setattr(held, "rows", torch.zeros(80))),
    "a mask that selects, replaced": ("mask", lambda held: setattr(held, "mask", X > 3)),
    "a list that grows": ("parts", lambda held: held.parts.append(1.0)),
    "a dictionary that grows": ("names", lambda held: held.named.update(b=1.0)),
    "an array that is filled": ("array", lambda held: held.array.fill(0.1)),
    "a namespace": ("settings", lambda held: setattr(held.settings, "weight", 0.3)),
}


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    monkeypatch.setitem(Weighted.table, "w", 1.0)


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_model_reads(change):
    way, alter = CHANGES[change]

    def make():
        global WEIGHT
        WEIGHT = Weighted.table["w"] = 1.0
        held = Weighted()
        held.way = way
        return held, guide, adam(), Trace_ELBO(), held

    def drive(svi, context, i):
        if i == AT:
            alter(context[0])
        return svi.step(X)

    svi = arms(make, drive=drive, audit=False)
    assert len(svi._captured.graphs) == 2  # numbers become inputs; else there is another graph


def networks(change):
    def make():
        net = nn.Sequential(nn.Linear(1, 4), nn.Softplus(), nn.Linear(4, 2))

        def encoded(x):
            pyro.module("net", net)
            loc, raw = net(x[:, None]).unbind(-1)
            with pyro.plate("data", len(x)):
                pyro.sample("z", dist.Normal(loc, (0.1 * raw).exp()))

        def decoded(x):
            with pyro.plate("data", len(x)):
                z = pyro.sample("z", dist.Normal(0.0, 1.0))
                pyro.sample("x", dist.Normal(z, 1.0), obs=x)

        return decoded, encoded, pyro.optim.SGD({"lr": 1e-3}), Trace_ELBO(), net

    def drive(svi, context, i):
        if i == AT:
            change(context[0])
        return svi.step(X)

    return make, drive


@pytest.mark.parametrize(
    "change",
    [lambda net: net.append(nn.Tanh()), lambda net: setattr(net[1], "beta", 0.2), lambda net: net.double().float()],
    ids=["another layer", "a number of a layer", "another type and back"],
)
def test_a_network(change):
    make, drive = networks(change)
    arms(make, drive=drive, audit=False)


def other_guide(x):
    pyro.sample("mean", dist.Normal(pyro.param("other", torch.tensor(1.0)), 0.5))


def replace_optimizers(svi):
    for parameter in list(svi.optim.optim_objs):
        svi.optim.optim_objs[parameter] = torch.optim.SGD([parameter], lr=1e-3)


def hook(svi):
    for own in svi.optim.optim_objs.values():
        own.register_step_pre_hook(lambda optimizer, args, kwargs: optimizer.param_groups[0].update(lr=0.0))


def forget(svi):
    for parameter, own in svi.optim.optim_objs.items():
        own.state[parameter]["exp_avg"] = torch.ones_like(parameter)


def other_optimizer(svi):
    svi.optim = pyro.optim.Adam({"lr": 1.0})


@pytest.mark.parametrize(
    "change",
    [
        other_optimizer,
        lambda svi: setattr(svi, "guide", other_guide),
        lambda svi: setattr(svi, "model", poutine.scale(model, scale=0.3)),
        lambda svi: svi.optim.optim_objs.clear(),
        replace_optimizers,
        hook,
        forget,
    ],
    ids=["optim", "guide", "model", "no optimizers", "other optimizers", "a hook", "another state"],
)
def test_the_svi_itself(change):
    def drive(svi, _, i):
        if i == AT:
            change(svi)
        return svi.step(X)

    arms(lambda: (model, guide, adam(), Trace_ELBO()), drive=drive, audit=False)


def test_a_guide_that_changes_in_each_step_is_not_captured_each_time():
    def losses(svi):
        pyro.clear_param_store()
        pyro.set_rng_seed(3)
        for i in range(30):
            svi.guide = (guide, other_guide)[i % 2]
            yield svi.step(X)

    ours = SVI(model, guide, adam(), Trace_ELBO(), engine="captured")
    with pytest.warns(UserWarning, match="make an SVI for each; steps run eagerly") as warned:
        found = [*losses(ours)]
    assert len(warned) == 1
    assert ours.engine == "eager"
    assert found == pytest.approx([*losses(pyro.infer.SVI(model, guide, adam(), Trace_ELBO()))], rel=1e-5)


def test_modes_around_the_step():
    """Without gradients nothing is learned; an autocast region has a graph of its own."""

    def drive(svi, _, i):
        with torch.set_grad_enabled(i not in (6, 7)), torch.autocast("cpu", enabled=i in (4, 5)):
            return svi.step(X)

    make, _ = networks(None)
    arms(make, drive=drive, audit=False)


def test_one_autocast_around_all_steps_keeps_old_weights_and_is_refused():
    make, _ = networks(None)
    with pytest.raises(CaptureError, match="give it cache_enabled=False"), torch.autocast("cpu"):
        arms(make)
    with torch.autocast("cpu", cache_enabled=False):
        arms(make)


@pytest.mark.parametrize("epochs", [range(12), [10**40 + i for i in range(12)], [2**24 + i for i in range(12)]])
def test_a_number_that_is_looked_up_or_is_long_is_no_scalar_of_the_graph(epochs):
    def scheduled(x, epoch):
        with poutine.scale(scale=(3.0 if epoch in {5, 6} else 1.0) * (1 + epoch % 2) * {7: 0.5}.get(epoch, 1.0)):
            model(x)

    def drive(svi, _, i):
        return svi.step(X, epochs[i])

    with pytest.warns(UserWarning, match="other kinds of calls: such steps run eagerly"):
        arms(lambda: (scheduled, lambda x, epoch: guide(x), adam(), Trace_ELBO()), drive=drive, audit=False)


def test_a_gradient_that_is_there_already_is_added():
    def drive(svi, _, i):
        if i in (3, 4, 8):
            (100 * pyro.get_param_store()._params["loc"] ** 2).backward()
        return svi.step(X)

    arms(lambda: (model, guide, adam(), Trace_ELBO()), drive=drive, audit=False)


def test_arguments_of_ever_new_kinds_are_not_kept(monkeypatch):
    monkeypatch.setattr("pyro_vae.engine.captured.MAX_KINDS", 3)

    def drive(svi, _, i):
        return svi.step(X) if i in (0, 9, 10) else svi.step(X, object())

    with pytest.warns(UserWarning, match="calls of 3 kinds were seen"):
        svi = arms(lambda: (model, guide, adam(), Trace_ELBO()), drive=drive)
    assert len(svi._captured.seen) == 3
    assert math.isfinite(svi.step(X))


class Halved(dist.Normal):
    def log_prob(self, value):
        return WEIGHT * super().log_prob(value)


def test_a_global_variable_that_only_pyro_makes_the_code_read():
    def observed(x):
        mean = pyro.sample("mean", dist.Normal(0.0, 5.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", Halved(mean, 1.0), obs=x)

    def drive(svi, _, i):
        global WEIGHT
        WEIGHT = 1.0 if i < AT else 0.3
        return svi.step(X)

    arms(lambda: (observed, guide, adam(), Trace_ELBO()), drive=drive, audit=False)
