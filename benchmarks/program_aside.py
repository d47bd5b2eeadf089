"""Programs kept aside: they were written after the engine, and the engine was not made with them in sight.

Statistical models here; those with networks are in :mod:`benchmarks.program_aside_networks`.
"""

from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.distributions import constraints
from pyro.distributions.transforms import OrderedTransform
from pyro.infer import Trace_ELBO, TraceEnum_ELBO, TraceGraph_ELBO, autoguide, config_enumerate
from pyro.infer.reparam import LocScaleReparam
from torch import Tensor
from torch.nn import functional as F

from benchmarks.program_case import ProgramCase, adam, coins, draws
from benchmarks.program_case import aside as program

GROUP = torch.arange(120) % 8
X, NOISE = draws(120, 2), draws(120, seed=5)
COUNTS = torch.poisson((0.5 * X[:, 0] + 0.2 * GROUP / 8).exp(), generator=torch.Generator().manual_seed(1))


@program
def hierarchical_poisson_regression() -> ProgramCase:
    """Intercepts and slopes by group, as vectorised plates."""

    def model(x: Tensor, group: Tensor, y: Tensor) -> None:
        centre = pyro.sample("centre", dist.Normal(torch.zeros(3), 1.0).to_event(1))
        spread = pyro.sample("spread", dist.HalfNormal(torch.ones(3)).to_event(1))
        with pyro.plate("groups", 8):
            effects = pyro.sample("effects", dist.Normal(centre, spread).to_event(1))
        rate = (effects[group, 0] + (effects[group, 1:] * x).sum(-1)).clamp(max=10.0).exp()
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Poisson(pyro.deterministic("rate", rate)), obs=y)

    return ProgramCase(model, autoguide.AutoNormal(model), adam(), Trace_ELBO(), (X, GROUP, COUNTS))


@program
def varying_slopes_with_a_learned_correlation() -> ProgramCase:
    def model(x: Tensor, group: Tensor, y: Tensor) -> None:
        corr = pyro.sample("corr", dist.LKJCholesky(2, torch.tensor(2.0)))
        scale = pyro.sample("scale", dist.Exponential(torch.ones(2)).to_event(1))
        tril = scale[:, None] * corr
        with pyro.plate("groups", 8):
            effects = pyro.sample("effects", dist.MultivariateNormal(torch.zeros(2), scale_tril=tril))
        mean = effects[group, 0] + effects[group, 1] * x[:, 0]
        noise = pyro.sample("noise", dist.Exponential(1.0))
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(mean, noise), obs=y)

    guide = autoguide.AutoMultivariateNormal(model)
    return ProgramCase(model, guide, adam(), Trace_ELBO(), (X, GROUP, X[:, 0] + 0.3 * NOISE))


@program
def mixture_with_ordered_means() -> ProgramCase:
    @config_enumerate
    def model(x: Tensor) -> None:
        ordered = dist.TransformedDistribution(dist.Normal(torch.zeros(3), 3.0).to_event(1), [OrderedTransform()])
        locs = pyro.sample("locs", ordered)
        weights = pyro.sample("weights", dist.Dirichlet(torch.ones(3)))
        with pyro.plate("data", len(x)):
            which = pyro.sample("which", dist.Categorical(weights))
            pyro.sample("x", dist.Normal(locs[which], 1.0), obs=x)

    guide = autoguide.AutoDelta(poutine.block(model, hide=["which"]))
    return ProgramCase(model, guide, adam(), TraceEnum_ELBO(max_plate_nesting=1), (3 * NOISE,))


@program
def dirichlet_process_mixture() -> ProgramCase:
    """Sticks broken eight times; which component is summed out."""

    def sticks(beta: Tensor) -> Tensor:
        return F.pad(beta, (0, 1), value=1) * F.pad((1 - beta).cumprod(-1), (1, 0), value=1)

    @config_enumerate
    def model(x: Tensor) -> None:
        alpha = pyro.sample("alpha", dist.Gamma(2.0, 1.0))
        with pyro.plate("sticks", 7):
            beta = pyro.sample("beta", dist.Beta(1.0, alpha))
        with pyro.plate("components", 8):
            locs = pyro.sample("locs", dist.MultivariateNormal(torch.zeros(2), 5 * torch.eye(2)))
        with pyro.plate("data", len(x)):
            which = pyro.sample("which", dist.Categorical(sticks(beta)))
            pyro.sample("x", dist.MultivariateNormal(locs[which], torch.eye(2)), obs=x)

    def guide(x: Tensor) -> None:
        shape = pyro.param("shape", torch.tensor(2.0), constraint=constraints.positive)
        kappa = pyro.param("kappa", torch.full((7,), 1.5), constraint=constraints.positive)
        tau = pyro.param("tau", lambda: draws(8, 2, seed=9))
        pyro.sample("alpha", dist.Gamma(shape, 1.0))
        with pyro.plate("sticks", 7):
            pyro.sample("beta", dist.Beta(torch.ones(7), kappa))
        with pyro.plate("components", 8):
            pyro.sample("locs", dist.MultivariateNormal(tau, 0.1 * torch.eye(2)))

    return ProgramCase(model, guide, adam(), TraceEnum_ELBO(max_plate_nesting=1), (X,))


@program
def switching_state_space() -> ProgramCase:
    """A hidden regime, summed out along time, chooses the noise of a random walk."""

    @config_enumerate
    def model(y: Tensor) -> None:
        stay = pyro.sample("stay", dist.Beta(torch.tensor([8.0, 2.0]), torch.tensor([2.0, 8.0])).to_event(1))
        noise = pyro.sample("noise", dist.LogNormal(torch.tensor([-1.0, 1.0]), 0.5).to_event(1))
        state: Any = torch.tensor(0)
        level: Any = torch.tensor(0.0)
        for t in pyro.markov(range(len(y))):
            state = pyro.sample(f"state_{t}", dist.Bernoulli(1 - stay[state.long()]))
            level = pyro.sample(f"level_{t}", dist.Normal(level, 0.5))
            pyro.sample(f"y_{t}", dist.Normal(level, noise[state.long()]), obs=y[t])

    guide = autoguide.AutoNormal(poutine.block(model, hide_fn=lambda site: site["name"].startswith("state_")))
    return ProgramCase(model, guide, adam(), TraceEnum_ELBO(max_plate_nesting=0), (NOISE[:6],))


@program
def zero_inflated_counts() -> ProgramCase:
    def model(x: Tensor, y: Tensor) -> None:
        weight = pyro.sample("weight", dist.Laplace(torch.zeros(2), 1.0).to_event(1))
        gate = pyro.sample("gate", dist.Beta(1.0, 1.0))
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.ZeroInflatedPoisson((x @ weight).clamp(max=8).exp(), gate=gate), obs=y)

    y = COUNTS * coins(120, p=0.7)
    return ProgramCase(model, autoguide.AutoDiagonalNormal(model), adam(), Trace_ELBO(), (X, y))


@program
def effects_that_sum_to_zero() -> ProgramCase:
    """A soft constraint by ``pyro.factor``, negative binomial counts."""

    def model(group: Tensor, y: Tensor) -> None:
        with pyro.plate("groups", 8):
            effect = pyro.sample("effect", dist.StudentT(4.0, 0.0, 1.0))
        total = pyro.deterministic("total", effect.sum(-1))
        pyro.factor("centred", -0.5 * (total / 0.01) ** 2)
        spread = pyro.sample("spread", dist.InverseGamma(3.0, 2.0))
        with pyro.plate("data", len(y)):
            pyro.sample("y", dist.NegativeBinomial(spread, logits=effect[group]), obs=y)

    return ProgramCase(model, autoguide.AutoLowRankMultivariateNormal(model), adam(), Trace_ELBO(), (GROUP, COUNTS))


@program
def censored_lifetimes() -> ProgramCase:
    """Weibull lifetimes; what is censored counts by its survival function, under masks."""

    def model(x: Tensor, time: Tensor, dead: Tensor) -> None:
        weight = pyro.sample("weight", dist.Normal(torch.zeros(2), 1.0).to_event(1))
        shape = pyro.sample("shape", dist.Gamma(5.0, 5.0))
        scale = (x @ weight).exp()
        with pyro.plate("data", len(x)):
            with poutine.mask(mask=dead):
                pyro.sample("time", dist.Weibull(scale, shape), obs=time)
            with poutine.mask(mask=~dead):
                pyro.factor("survives", -((time / scale) ** shape))

    data = X, NOISE.abs() + 0.1, coins(120).bool()
    return ProgramCase(model, autoguide.AutoNormal(model), adam(), Trace_ELBO(), data)


@program
def gaussian_copula() -> ProgramCase:
    """Two margins of their own, joined by a normal copula."""

    def model(x: Tensor) -> None:
        rate = pyro.sample("rate", dist.LogNormal(torch.zeros(2), 1.0).to_event(1))
        corr = pyro.sample("corr", dist.LKJCholesky(2, torch.tensor(1.0)))
        margin = dist.Exponential(rate)
        normal = dist.Normal(0.0, 1.0)
        scores = normal.icdf(margin.cdf(x).clamp(1e-5, 1 - 1e-5))
        joint = dist.MultivariateNormal(torch.zeros(2), scale_tril=corr).log_prob(scores)
        pyro.factor("copula", (joint - normal.log_prob(scores).sum(-1) + margin.log_prob(x).sum(-1)).sum())

    return ProgramCase(model, autoguide.AutoNormal(model), adam(), Trace_ELBO(), (X.abs() + 0.01,))


@program
def ordinal_regression() -> ProgramCase:
    def model(x: Tensor, y: Tensor) -> None:
        ordered = dist.TransformedDistribution(dist.Normal(torch.zeros(3), 2.0).to_event(1), [OrderedTransform()])
        cuts = pyro.sample("cuts", ordered)
        weight = pyro.sample("weight", dist.Normal(torch.zeros(2), 1.0).to_event(1))
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.OrderedLogistic(x @ weight, cuts), obs=y)

    return ProgramCase(model, autoguide.AutoNormal(model), adam(), Trace_ELBO(), (X, GROUP % 4))


@program
def schools_reparameterised() -> ProgramCase:
    def centred(y: Tensor) -> None:
        mean, spread = pyro.sample("mean", dist.Normal(0.0, 5.0)), pyro.sample("spread", dist.HalfCauchy(5.0))
        with pyro.plate("schools", 8):
            effect = pyro.sample("effect", dist.Normal(mean, spread))
            pyro.sample("y", dist.Normal(effect, 10.0), obs=y)

    model = poutine.reparam(centred, config={"effect": LocScaleReparam()})
    return ProgramCase(model, autoguide.AutoNormal(model), adam(), Trace_ELBO(), (10 * NOISE[:8],))


@program
def missing_values_as_latents() -> ProgramCase:
    def model(x: Tensor, seen: Tensor) -> None:
        mean = pyro.sample("mean", dist.Normal(0.0, 5.0))
        with pyro.plate("data", len(x)):
            x = pyro.sample("x", dist.Normal(mean, 1.0), obs=x, obs_mask=seen)
            pyro.sample("y", dist.Normal(2 * x, 1.0), obs=NOISE)

    return ProgramCase(model, autoguide.AutoNormal(model), adam(), Trace_ELBO(), (NOISE + 2, coins(120).bool()))


@program
def linear_gaussian_state_space() -> ProgramCase:
    def model(y: Tensor) -> None:
        moves = pyro.param("moves", 0.9 * torch.eye(2))
        noise = pyro.param("noise", torch.ones(2), constraint=constraints.positive)
        start, step = (dist.MultivariateNormal(torch.zeros(2), torch.eye(2)) for _ in range(2))
        seen = dist.Normal(torch.zeros(2), noise).to_event(1)
        hmm = dist.GaussianHMM(start, moves, step, torch.eye(2), seen, duration=len(y))
        pyro.sample("y", hmm, obs=y)

    return ProgramCase(model, lambda y: None, adam(), Trace_ELBO(), (X[:30],))


@program
def horseshoe_regression_with_rates_by_name() -> ProgramCase:
    def model(x: Tensor, y: Tensor) -> None:
        overall = pyro.sample("overall", dist.HalfCauchy(1.0))
        with pyro.plate("columns", 2):
            local = pyro.sample("local", dist.HalfCauchy(1.0))
            weight = pyro.sample("weight", dist.Normal(0.0, overall * local))
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.StudentT(3.0, x @ weight, 0.5), obs=y)

    optim = pyro.optim.Adam(lambda name: {"lr": 0.05 if "loc" in name else 0.005})
    guide = autoguide.AutoGuideList(model)
    guide.append(autoguide.AutoNormal(poutine.block(model, expose=["weight"])))
    guide.append(autoguide.AutoDiagonalNormal(poutine.block(model, hide=["weight"])))
    return ProgramCase(model, guide, optim, Trace_ELBO(), (X, X[:, 0] + 0.1 * NOISE))


@program
def flips_with_a_network_as_baseline() -> ProgramCase:
    """Discrete latents by the score function; the baseline is a network of the data."""
    net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1), torch.nn.Flatten(0))

    def model(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            which = pyro.sample("which", dist.Bernoulli(0.5))
            pyro.sample("x", dist.Normal(which[:, None] * 2, 1.0).to_event(1), obs=x)

    def guide(x: Tensor) -> None:
        weight = pyro.param("weight", torch.zeros(2))
        pyro.module("baseline", net)
        with pyro.plate("data", len(x)):
            learned = {"nn_baseline": net, "nn_baseline_input": x}
            pyro.sample("which", dist.Bernoulli(logits=x @ weight), infer={"baseline": learned})

    return ProgramCase(model, guide, adam(), TraceGraph_ELBO(), (X,))


@program
def conditioned_and_replayed_by_handlers() -> ProgramCase:
    """A generative model that never saw data, conditioned on it; a Gaussian guide of all its latents."""

    def prior(rows: int) -> Tensor:
        weight = pyro.sample("weight", dist.Normal(torch.zeros(2), 1.0).to_event(1))
        noise = pyro.sample("noise", dist.Gamma(2.0, 2.0))
        with pyro.plate("data", rows):
            return pyro.sample("y", dist.Normal(X[:rows] @ weight, noise))

    model = poutine.condition(prior, data={"y": X[:, 1] + 0.1 * NOISE})
    return ProgramCase(model, autoguide.AutoGaussian(model), adam(), Trace_ELBO(), (120,))


@program
def sequential_plate_of_coins() -> ProgramCase:
    def model(x: Tensor) -> None:
        fair = pyro.sample("fair", dist.Beta(10.0, 10.0))
        for i in pyro.plate("flips", 6):
            pyro.sample(f"x_{i}", dist.Binomial(3, fair), obs=x[i])

    def guide(x: Tensor) -> None:
        a, b = (pyro.param(name, torch.tensor(9.0), constraint=constraints.positive) for name in "ab")
        pyro.sample("fair", dist.Beta(a, b))

    return ProgramCase(model, guide, adam(), Trace_ELBO(), (torch.tensor([1.0, 2, 3, 0, 1, 2]),))
