"""What has a static graph is captured, and what has none is refused by its site, its line and a mend."""

import copy
from argparse import Namespace
from dataclasses import dataclass

import numpy as np
import pyro
import pyro.contrib.gp as gp
import pyro.distributions as dist
import pyro.distributions.transforms as T
import pytest
import torch
from engine_arms import X, adam, arms, guide, model
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceEnum_ELBO, autoguide, config_enumerate
from pyro.nn import PyroModule, PyroSample
from torch import nn

from pyro_vae import SVI
from pyro_vae.engine import CaptureError, StepOptions


@config_enumerate
def mixture(x):
    weights = pyro.sample("weights", dist.Dirichlet(torch.ones(2)))
    with pyro.plate("components", 2):
        locs = pyro.sample("locs", dist.Normal(0.0, 10.0))
    with pyro.plate("data", len(x)):
        which = pyro.sample("which", dist.Categorical(weights))
        pyro.sample("x", dist.Normal(locs[which], 1.0), obs=x)


def test_r1_enumeration_in_the_model():
    def make():
        hidden = autoguide.AutoDelta(poutine.block(mixture, expose=["weights", "locs"]))
        return mixture, hidden, adam(), TraceEnum_ELBO(max_plate_nesting=1)

    arms(make)


def test_r1_enumeration_in_the_guide():
    def flips(x):
        with pyro.plate("data", len(x)):
            which = pyro.sample("which", dist.Bernoulli(0.5))
            pyro.sample("x", dist.Normal(which * 3, 1.0), obs=x)

    @config_enumerate
    def guess(x):
        p = pyro.param("p", torch.full((40,), 0.3), constraint=dist.constraints.unit_interval)
        with pyro.plate("data", len(x)):
            pyro.sample("which", dist.Bernoulli(p))

    arms(lambda: (flips, guess, adam(), TraceEnum_ELBO(max_plate_nesting=1)))


class Regression(PyroModule):
    def __init__(self):
        super().__init__()
        self.linear = PyroModule[nn.Linear](3, 1)
        self.linear.weight = PyroSample(dist.Normal(0.0, 1.0).expand([1, 3]).to_event(2))
        self.linear.bias = PyroSample(dist.Normal(0.0, 10.0, validate_args=True).expand([1]).to_event(1))

    def forward(self, x, y=None):
        sigma = pyro.sample("sigma", dist.Uniform(0.0, 10.0))
        mean = self.linear(x).squeeze(-1)
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(mean, sigma), obs=y)


A = torch.randn(20, 3, generator=torch.Generator().manual_seed(1))
B = A.sum(-1)


@pytest.mark.parametrize("kind", ["AutoDiagonalNormal", "AutoMultivariateNormal", "AutoDelta"])
def test_r2_priors_that_are_made_in_the_constructor(kind):
    def make():
        regression = Regression()
        return regression, getattr(autoguide, kind)(regression), adam(), Trace_ELBO()

    arms(make, drive=lambda svi, _, i: svi.step(A, B))


def correlated(x):
    with pyro.plate("scales", 2):
        scales = pyro.sample("s", dist.HalfCauchy(1.0))
    corr = pyro.sample("L", dist.LKJCholesky(2, torch.tensor(1.0)))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.MultivariateNormal(torch.zeros(2), scale_tril=scales[:, None] * corr), obs=x)


def test_r3_masks_that_are_the_same_at_every_step():
    pairs = X.reshape(20, 2) - 3
    arms(
        lambda: (correlated, autoguide.AutoNormal(correlated), adam(), Trace_ELBO()),
        drive=lambda svi, _, i: svi.step(pairs),
        tolerance=1e-4,
    )


FLOWS = {
    "BatchNorm": lambda: T.BatchNorm(2),
    "block_autoregressive": lambda: T.block_autoregressive(2),
    "spline": lambda: T.spline(2, count_bins=4),
    "planar": lambda: T.planar(2),
}


@pytest.mark.parametrize("name", FLOWS)
def test_r3_r5_flows_in_a_guide_that_is_a_function(name):
    def flat(x):
        with pyro.plate("n", 16):
            z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=x)

    def make():
        flow = FLOWS[name]()

        def q(x):
            pyro.module("t", flow)
            with pyro.plate("n", 16):
                base = dist.Normal(torch.zeros(2), 1.0).to_event(1)
                pyro.sample("z", dist.TransformedDistribution(base, [flow]))

        return flat, q, pyro.optim.SGD({"lr": 1e-4}), Trace_ELBO()

    pairs = X[:32].reshape(16, 2)
    arms(make, drive=lambda svi, _, i: svi.step(pairs), tolerance=1e-4)


def test_r4_an_elbo_of_the_users_own_that_reads_its_loss():
    from pyro.infer.util import torch_item

    class Own(Trace_ELBO):
        def loss_and_grads(self, model, guide, *args, **kwargs):
            loss = self.differentiable_loss(model, guide, *args, **kwargs)
            loss.backward()
            return torch_item(loss)

    arms(lambda: (model, guide, adam(), Own()))


def test_r6_hyperparameters_that_are_frozen_from_the_start():
    t = torch.linspace(0, 1, 10)

    def make():
        kernel = gp.kernels.RBF(1)
        kernel.variance_unconstrained.requires_grad_(False)
        regression = gp.models.GPRegression(t, t, kernel)
        return regression.model, regression.guide, adam(), Trace_ELBO()

    arms(make, drive=lambda svi, _, i: svi.step())


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_r7_recurrent_layers(kind):
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = kind(1, 4, batch_first=True)

        def guide(self, x):
            pyro.module("r", self)
            h, _ = self.layer(x.reshape(4, 10, 1))
            with pyro.plate("data", 40):
                pyro.sample("z", dist.Normal(h.mean(-1).reshape(40), 1.0))

        def model(self, x):
            with pyro.plate("data", 40):
                pyro.sample("x", dist.Normal(pyro.sample("z", dist.Normal(0.0, 1.0)), 1.0), obs=x)

    def make():
        net = Recurrent()
        return net.model, net.guide, adam(), Trace_ELBO()

    arms(make)


@dataclass
class Case:
    x: torch.Tensor
    weight: float
    names: list[str]


@pytest.mark.parametrize(
    "argument",
    [Namespace(a=1, b=[2.0, "c"]), np.ones(3), Case(X, 2.0, ["a"]), {1, 2}, None, "text", [1, 2.5], {"x": X}],
    ids=lambda a: type(a).__name__,
)
def test_r8_any_argument(argument):
    svi = arms(
        lambda: (model, guide, adam(), Trace_ELBO()),
        drive=lambda svi, _, i: svi.step(X, copy.copy(argument), k=argument),
    )
    assert len(svi._captured.graphs) == 1


def test_r9_a_loss_function():
    def negative(model, guide, *args, **kwargs):
        return Trace_ELBO().differentiable_loss(model, guide, *args, **kwargs)

    arms(lambda: (model, guide, adam(), negative))


def test_r9_a_sparse_gradient_is_refused_in_words():
    table = nn.Embedding(5, 1, sparse=True)

    def looked_up(x):
        pyro.module("table", table)
        mean = pyro.sample("mean", dist.Normal(table(torch.arange(40) % 5)[:, 0], 1.0).to_event(1))
        pyro.sample("x", dist.Normal(mean, 1.0).to_event(1), obs=x)

    def guess(x):
        pyro.sample("mean", dist.Normal(pyro.param("loc", torch.zeros(40)), 1.0).to_event(1))

    svi = SVI(looked_up, guess, pyro.optim.SGD({"lr": 0.01}), Trace_ELBO(), engine="captured")
    svi.step(X)
    with pytest.raises(CaptureError, match=r"a gradient is sparse; use nn.Embedding\(..., sparse=False\)"):
        svi.step(X)


LOSSES = {
    "TraceTailAdaptive_ELBO": {"num_particles": 4, "vectorize_particles": True},
    "RenyiELBO": {"num_particles": 4, "vectorize_particles": True},
    "ReweightedWakeSleep": {"num_particles": 2, "model_has_params": False},
    "EnergyDistance": {"num_particles": 4},
    "TraceMeanField_ELBO": {},
    "TraceTMC_ELBO": {},
}


@pytest.mark.filterwarnings("ignore:Found no sample sites configured for enumeration")
@pytest.mark.parametrize("name", LOSSES)
def test_r9_pyros_other_losses(name):
    def make():
        return model, guide, adam(), getattr(pyro.infer, name)(**LOSSES[name])

    def drive(svi, _, i):
        loss = svi.step(X)
        return sum(loss) if isinstance(loss, tuple) else loss

    arms(make, drive=drive)


def test_r10_arguments_by_parameter():
    def by_name(name):
        return {"lr": 0.1 if name == "loc" else 0.01}

    arms(lambda: (model, guide, pyro.optim.Adam(by_name), Trace_ELBO()))


@pytest.mark.parametrize(
    "name", ["Adam", "AdamW", "ClippedAdam", "SGD", "RMSprop", "Adagrad", "RAdam", "AdagradRMSProp"]
)
def test_optimizers_of_pyro(name):
    options = {} if name == "AdagradRMSProp" else {"lr": 0.01}
    arms(lambda: (model, guide, getattr(pyro.optim, name)(options), Trace_ELBO()))


def test_a_refusal_names_the_site_the_line_and_a_mend():
    def selects(x):
        mean = pyro.sample("mean", dist.Normal(0.0, 5.0))
        pyro.factor("f", -((x[x > mean] - mean) ** 2).sum())

    svi = SVI(selects, guide, adam(), Trace_ELBO(), engine="captured")
    svi.step(X)
    with pytest.raises(CaptureError, match=r"x\[x > mean\].*after sample site 'mean'.*torch\.where\(mask, x, 0\)"):
        svi.step(X)


@pytest.mark.parametrize("options", [{"clip_norm": 1.0}, {"per_image": True}, {"precision": "bf16"}])
def test_options_of_torch_optimizers_are_refused_beside_one_of_pyros(options):
    with pytest.raises(ValueError, match="are for torch optimizers"):
        SVI(model, guide, adam(), Trace_ELBO(), options=StepOptions(**options))
    SVI(model, guide, adam(), Trace_ELBO(), options=StepOptions(num_steps=10))
