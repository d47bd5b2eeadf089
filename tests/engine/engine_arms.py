"""A Pyro program under ``pyro.infer.SVI`` and under this project's SVI: the same seed has to give the same run."""

import pyro
import pyro.distributions as dist
import torch
from torch import nn

from pyro_vae import SVI

X = torch.randn(40, generator=torch.Generator().manual_seed(0)) + 3


def model(x, *_, **__):
    mean = pyro.sample("mean", dist.Normal(0.0, 5.0))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(mean, 1.0), obs=x)


def guide(x, *_, **__):
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(1.0), constraint=dist.constraints.positive)
    pyro.sample("mean", dist.Normal(loc, scale))


def adam():
    return pyro.optim.Adam({"lr": 0.05})


def arms(make, steps=12, drive=lambda svi, context, i: svi.step(X), tolerance=1e-5, **options):
    """Both SVIs on the program that ``make`` gives (model, guide, optimizer, loss, and anything for ``drive``).

    ``drive`` takes one step and returns its loss. Returns what each arm's driver had as its context.
    """
    found = []
    for kind, extra in ((pyro.infer.SVI, {}), (SVI, {"engine": "captured", **options})):
        pyro.clear_param_store()
        pyro.set_rng_seed(3)
        model_, guide_, optim, loss, *context = make()
        svi = kind(model_, guide_, optim, loss, **extra)
        pyro.set_rng_seed(4)
        losses = [drive(svi, context, i) for i in range(steps)]
        params = {name: p.detach().clone() for name, p in pyro.get_param_store()._params.items()}
        found.append((losses, params, svi))
    (expected, theirs, _), (mine, ours, svi) = found
    torch.testing.assert_close(torch.tensor(mine).double(), torch.tensor(expected).double(), rtol=tolerance, atol=1e-5)
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-3, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
    assert svi._captured is not None
    assert svi._captured.graphs, "nothing was captured"
    return svi


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
