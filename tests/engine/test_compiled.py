"""Inductor's code is held against its graph, whatever the strides of the inputs are."""

import pyro
import pyro.distributions as dist
import torch
from engine_arms import X, adam, arms, guide
from pyro.infer import Trace_ELBO

EXPANDED = torch.tensor(1.5).expand(40)
SLICED = torch.randn(40, 3, generator=torch.Generator().manual_seed(1))[:, 1]


def test_inputs_of_any_strides_are_compiled():
    """Inductor's code counts on the strides; where it does not run, a warning says so, which fails here."""

    def model(x):
        mean = pyro.sample("mean", dist.Normal(0.0, 5.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(mean + SLICED, EXPANDED), obs=x[:, 0])

    wide = torch.stack([X, -X], -1)
    drive = lambda svi, _, i: svi.step(wide[:, :1])  # noqa: E731
    svi = arms(lambda: (model, guide, adam(), Trace_ELBO()), 4, drive, engine="compiled")
    (graph,) = svi._captured.graphs
    assert graph.run is not graph.module
