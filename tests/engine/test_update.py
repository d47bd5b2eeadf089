"""The captured update of the optimizer is the optimizer's own."""

import copy

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn

from pyro_vae.engine import SVI
from pyro_vae.engine.update import Update, fuse

OPTIMIZERS = {
    "Adam": {},
    "AdamW": {"weight_decay": 0.1, "amsgrad": True},
    "SGD": {},
    "SGD with momentum": {"momentum": 0.9},
    "Adagrad": {"lr_decay": 0.1},
}


def updates(name, seed=0):
    """An optimizer of two groups, its parameters, the same again with an Update, and gradients for one step of both."""
    torch.manual_seed(seed)
    plain = [nn.Parameter(torch.randn(30, 4)), nn.Parameter(torch.randn(7)), nn.Parameter(torch.randn(3))]
    captured = copy.deepcopy(plain)

    def make(parameters):
        groups = [{"params": parameters[:1], "lr": 0.05}, {"params": parameters[1:]}]
        made = getattr(torch.optim, name.split()[0])(groups, lr=0.02, **OPTIMIZERS[name])
        fuse(made)
        return made

    optimizers = [make(plain), make(captured)]
    return optimizers, plain, captured, Update(optimizers[1], captured)


def step_both(optimizers, plain, captured, update, missing=2):
    """One step of both with the same gradients, none for one parameter; they must agree to the last bit."""
    gradients = [None if i == missing else torch.randn_like(p) for i, p in enumerate(plain)]
    for parameter, gradient in zip(plain, gradients, strict=True):
        parameter.grad = gradient
    optimizers[0].step()
    update(gradients)
    for a, b in zip(plain, captured, strict=True):
        assert torch.equal(a, b)
        assert b.grad is None
    assert str(optimizers[0].state_dict()["state"]) == str(optimizers[1].state_dict()["state"])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_captured_update_is_the_optimizers_own_to_the_last_bit(name):
    both = updates(name)
    optimizers, _, _, update = both
    for _ in range(6):
        step_both(*both)
    assert sum(recorded is not None for recorded in update.recorded.values()) == 1, "nothing was captured"

    schedulers = [torch.optim.lr_scheduler.ExponentialLR(o, 0.5) for o in optimizers]
    for _ in range(3):  # a learning rate that changes is no other graph
        step_both(*both)
        for scheduler in schedulers:
            scheduler.step()
    assert sum(recorded is not None for recorded in update.recorded.values()) == 1

    for optimizer in optimizers:
        optimizer.param_groups[1]["weight_decay"] = 0.3
    for _ in range(4):
        step_both(*both)
    for _ in range(4):  # a parameter that had no gradient, and so no state, which torch's fused SGD does not take
        step_both(*both, missing=2 if "momentum" in name else 0)

    saved = copy.deepcopy(optimizers[0].state_dict())
    step_both(*both)
    for optimizer in optimizers:
        optimizer.load_state_dict(copy.deepcopy(saved))
    for _ in range(4):
        step_both(*both)
    if name != "Adagrad":  # which in older versions of torch makes its state once only
        for optimizer in optimizers:
            optimizer.state.clear()
        for _ in range(4):
            step_both(*both)


def test_a_captured_update_follows_new_groups_and_leaves_hooks_to_the_optimizer():
    optimizers, plain, captured, _ = both = updates("Adam")
    for _ in range(4):
        step_both(*both)
    added = nn.Parameter(torch.ones(2))
    for optimizer, parameters in zip(optimizers, (plain, captured), strict=True):
        parameters.append(copy.deepcopy(added))
        optimizer.add_param_group({"params": parameters[-1:], "fused": True})
    for _ in range(4):
        step_both(*both)
    assert not torch.equal(captured[-1], added)

    calls = []
    optimizers[1].register_step_post_hook(lambda *_: calls.append(1))
    for _ in range(3):
        step_both(*both)
    assert len(calls) == 3


def test_a_captured_update_keeps_a_bounded_number_of_graphs():
    optimizers, *_, update = both = updates("SGD")
    for step in range(40):
        for optimizer in optimizers:
            optimizer.param_groups[0]["weight_decay"] = 0.01 * (step // 2)
        step_both(*both)
        assert len(update.recorded) <= 8


@pytest.mark.parametrize("name", ["Adam", "AdamW", "Adagrad", "SGD"])
def test_the_fused_kernel_takes_the_step_of_the_plain_one(name):
    """Gradients whose strides are not their parameter's, too: a linear layer's weight used transposed."""
    weights = []
    for fused in (True, False):
        torch.manual_seed(0)
        weight = nn.Parameter(torch.randn(5, 3))
        optimizer = getattr(torch.optim, name)([weight], lr=1e-3, fused=None if fused else False)
        fuse(optimizer)
        assert bool(optimizer.param_groups[0]["fused"]) is fused

        def model(x, weight=weight):
            pyro.sample("x", dist.Normal(x @ weight.mT @ weight, 1.0).to_event(2), obs=x)

        svi = SVI(model, lambda x: None, optimizer, pyro.infer.Trace_ELBO())
        x = torch.randn(7, 3)
        for _ in range(5):
            svi.step_record(x)
        weights.append(weight.detach())
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["Adam", "AdamW", "ClippedAdam", "Adagrad"])
def test_pyros_optimizer_in_a_graph_leaves_the_powers_of_its_rates_to_python(name):
    """Inductor would repeat a power of a decay rate for each few elements."""

    def model():
        pyro.sample("x", dist.Normal(pyro.param("at", torch.zeros(3)), 1.0).to_event(1), obs=torch.ones(3))

    pyro.clear_param_store()
    optim = getattr(pyro.optim, name)({"lr": 0.1})
    svi = SVI(model, lambda: None, optim, pyro.infer.Trace_ELBO(), engine="captured")
    for _ in range(3):
        svi.step()
    (graph,) = svi._captured.graphs
    called = {str(node.target) for node in graph.module.graph.nodes if node.op == "call_function"}
    assert graph.bound is not None
    assert not {"aten.pow.Scalar", "aten.pow.Tensor_Tensor"} & called
