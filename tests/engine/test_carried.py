"""What a pass leaves behind for the next one, and what it reads out of PyTorch's sight: refused, or as in Pyro."""

import itertools
from collections import deque

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from engine_arms import X, adam, arms, guide, model
from pyro import poutine
from pyro.infer import Trace_ELBO
from torch import nn
from torch.utils.checkpoint import checkpoint

from pyro_vae import SVI
from pyro_vae.engine import CaptureError


class Carrying:
    """A model that changes its state in each pass."""

    def __init__(self, state, move):
        self.state, self.move = state, move

    def model(self, x):
        self.move(self)
        with poutine.scale(scale=1.0 if str(self.state) < "5" else 0.2):
            model(x)


def assign(value):
    return lambda held: setattr(held, "state", value(held.state))


STATES = {
    "a truth value": (True, assign(lambda s: not s), "changes from False to True"),
    "a word": ("a", assign(lambda s: {"a": "b", "b": "a"}[s]), "changes from 'b' to 'a'"),
    "a number of NumPy": (np.int64(0), assign(lambda s: s + np.int64(1)), "changes from"),
    "a tuple": ((0,), assign(lambda s: (s[0] + 1,)), "changes from"),
    "a list that grows": ([], lambda held: held.state.append(1), "changes its contents"),
    "a list that shrinks": ([1] * 99, lambda held: held.state.pop(), "changes its contents"),
    "a queue": (deque(), lambda held: held.state.append(1), "changes its contents"),
    "a set": (set(), lambda held: held.state.add(len(held.state)), "changes its contents"),
    "a dictionary": ({}, lambda held: held.state.update({len(held.state): 1}), "changes its contents"),
    "an array": (np.zeros(2), lambda held: held.state.__iadd__(1), "changes its contents"),
    "an iterator": (itertools.cycle([1, 2]), lambda held: next(held.state), "is an iterator"),
    "a generator": ((i for i in range(99)), lambda held: next(held.state), "is an iterator"),
}


@pytest.mark.parametrize("state", STATES)
def test_a_state_that_each_pass_changes_is_refused_and_stays_as_it_was(state):
    first, move, reason = STATES[state]
    held = Carrying(first, move)
    pyro.clear_param_store()
    svi = SVI(held.model, guide, adam(), Trace_ELBO(), engine="captured")
    svi.step(X)  # Pyro's own
    before, shown = held.state, str(held.state)
    with pytest.raises(CaptureError, match=rf"(model|self|held)\.state {reason}"):
        svi.step(X)
    assert held.state is before
    assert str(held.state) == shown


def test_what_only_the_first_pass_does_is_no_state():
    class Prepared(nn.Module):
        def __init__(self):
            super().__init__()
            self.loc = nn.Parameter(torch.tensor(0.0))
            self.ready, self.seen = False, {}

        def guide(self, x):
            if not self.ready:
                self.loc.data.copy_(x.mean())
                self.seen["length"] = len(x)
                self.ready = True
            pyro.sample("mean", dist.Normal(self.loc, 1 / self.seen["length"]))

    pyro.set_rng_seed(0)
    held = Prepared()
    svi = SVI(model, held.guide, torch.optim.SGD(held.parameters(), 1e-4), Trace_ELBO(), engine="captured")
    for _ in range(4):
        svi.step(X)
    assert len(svi._captured.graphs) == 1
    assert held.loc.item() == pytest.approx(X.mean().item(), abs=0.1)


READS = {
    "a list of tensors": lambda x: torch.tensor([x.std(), 1.0])[0],
    "a new tensor": lambda x: x.new_tensor([x.std()])[0],
    "tolist": lambda x: sum(map(abs, x.tolist())) / 40,
    "numpy": lambda x: float(x.numpy().std()),
    "asarray": lambda x: float(np.asarray(x).std()),
    "dlpack": lambda x: torch.from_dlpack(x).std(),
    "split": lambda x: x.tensor_split(x[:1].long().clamp(1, 30))[0].abs().mean(),
}


@pytest.mark.parametrize("read", READS)
def test_values_of_the_batch_that_no_operation_shows_are_refused_by_line(read):
    def reading(x):
        mean = pyro.sample("mean", dist.Normal(0.0, 5.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(mean, READS[read](x)), obs=x)

    pyro.clear_param_store()
    svi = SVI(reading, guide, adam(), Trace_ELBO(), engine="captured")
    svi.step(X)
    with pytest.raises(CaptureError, match=rf"{__file__}.*numbers are read from a tensor that changes"):
        svi.step(X)


def test_values_of_a_constant_may_be_read_so_and_are_watched():
    class Held:
        weights = None

        def model(self, x):
            with poutine.scale(scale=sum(self.weights.tolist())):
                model(x)

    def make():
        held = Held()
        held.weights = torch.tensor([0.4, 0.6])
        return held.model, guide, adam(), Trace_ELBO(), held

    def drive(svi, context, i):
        if i == 5:
            context[0].weights.mul_(0.5)
        return svi.step(X)

    arms(make, drive=drive, audit=False)


def test_a_network_that_nobody_names_but_that_takes_a_gradient_is_refused():
    net = nn.Linear(1, 1)

    def amortized(x):
        pyro.param("loc", torch.tensor(0.0))
        pyro.sample("mean", dist.Normal(net(x.mean().reshape(1))[0], 1.0))

    pyro.clear_param_store()
    svi = SVI(model, amortized, adam(), Trace_ELBO(), engine="captured")
    svi.step(X)
    with pytest.raises(CaptureError, match=r"net\.weight takes a gradient, but no pyro\.param"):
        svi.step(X)
    net.requires_grad_(False)
    svi.step(X)
    svi.step(X)
    assert svi._captured.graphs


def test_an_argument_that_takes_a_gradient_gets_it():
    shift = torch.zeros(40, requires_grad=True)
    pyro.clear_param_store()
    svi = SVI(model, guide, adam(), Trace_ELBO(), engine="captured")
    with pytest.warns(UserWarning, match="an argument of the step takes a gradient"):
        svi.step(X + shift)
    first = shift.grad.clone()
    svi.step(X + shift)
    svi.step(X + shift)
    assert (shift.grad.abs() > first.abs()).all()


def test_a_pass_that_sets_the_random_state_is_refused():
    """A checkpoint draws its dropout again in the backward pass."""
    net = nn.Sequential(nn.Linear(1, 4), nn.Dropout(0.3), nn.Linear(4, 1))

    def amortized(x):
        pyro.module("net", net)
        pyro.sample("mean", dist.Normal(checkpoint(net, x.mean().reshape(1), use_reentrant=False)[0], 1.0))

    pyro.clear_param_store()
    svi = SVI(model, amortized, adam(), Trace_ELBO(), engine="captured")
    svi.step(X)
    with pytest.raises(CaptureError, match="sets the random state"):
        svi.step(X)


def test_a_program_without_an_argument():
    svi = arms(
        lambda: (lambda: model(X), lambda: guide(X), adam(), Trace_ELBO()), drive=lambda svi, context, i: svi.step()
    )
    assert len(svi._captured.graphs) == 1


@pytest.mark.parametrize("lazy", [lambda c: c.conj().imag, lambda c: c.conj().real], ids=["negated", "conjugated"])
def test_views_whose_memory_holds_other_numbers(lazy):
    c = torch.complex(X, X.flip(0))
    arms(
        lambda: (model, guide, adam(), Trace_ELBO()),
        drive=lambda svi, context, i: svi.step(X if i < 4 else lazy(c)),
    )


def test_an_argument_that_refers_to_itself():
    class Node:
        pass

    node = Node()
    node.own = node
    pyro.clear_param_store()
    svi = SVI(model, guide, adam(), Trace_ELBO(), engine="captured")
    with pytest.raises(CaptureError, match="refers to itself"):
        svi.step(X, node)


def test_an_error_of_the_program_is_its_own_and_one_of_the_capture_is_a_refusal():
    def broken(x):
        if len(x) == 3:
            raise KeyError("mine")
        model(x)

    pyro.clear_param_store()
    svi = SVI(broken, guide, adam(), Trace_ELBO(), engine="captured")
    svi.step(X)
    for _ in range(2):
        with pytest.raises(KeyError, match="mine"):
            svi.step(X[:3])


@pytest.mark.parametrize("labels", [torch.arange(40) % 3, torch.arange(40) % 4], ids=["labels", "one too many"])
def test_one_hot(labels):
    def conditional(x, y):
        mean = pyro.sample("mean", dist.Normal(0.0, 5.0))
        with pyro.plate("data", len(x)):
            shifts = torch.nn.functional.one_hot(y, 3).float() @ torch.tensor([0.0, 1.0, 2.0])
            pyro.sample("x", dist.Normal(mean + shifts, 1.0), obs=x)

    good = torch.arange(40) % 3

    def drive(svi, context, i):
        if i == 6 and labels.max() == 3:
            with pytest.raises(RuntimeError, match="smaller than num_classes"):
                svi.step(X, labels)
        return svi.step(X, good)

    arms(lambda: (conditional, lambda x, y: guide(x), adam(), Trace_ELBO()), drive=drive)


def test_a_clipped_adam_counts_the_steps_of_a_parameter_without_a_gradient():
    def late(x, first):
        a, b = pyro.param("a", torch.tensor(0.0)), pyro.param("b", torch.tensor(0.0))
        pyro.sample("mean", dist.Normal(a if first else b, 1.0))

    optim = {"lr": 0.1, "lrd": 0.9}
    arms(
        lambda: (lambda x, first: model(x), late, pyro.optim.ClippedAdam(optim), Trace_ELBO()),
        drive=lambda svi, context, i: svi.step(X, i < 6),
    )


def test_a_complex_parameter():
    def wave(x):
        c = pyro.param("c", torch.tensor(0.3 + 0.4j))
        pyro.sample("mean", dist.Normal(c.real + c.imag.square(), c.abs() + 0.1))

    arms(lambda: (model, wave, adam(), Trace_ELBO()))
