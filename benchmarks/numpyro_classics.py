"""The programs without networks in NumPyro; see :mod:`benchmarks.program_classics` and ``program_large``."""

from typing import Any

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from numpyro.distributions import constraints
from numpyro.infer import Trace_ELBO, autoguide, init_to_feasible

from benchmarks import program_classics as classics
from benchmarks import program_large as large
from benchmarks.numpyro_arm import Pair, Start, array, pair
from benchmarks.program_case import coins, draws


def schools(effects: Any, errors: Any) -> None:
    mean = numpyro.sample("mean", dist.Normal(0.0, 10.0))
    spread = numpyro.sample("spread", dist.HalfCauchy(10.0))
    with numpyro.plate("schools", 8):
        unit = numpyro.sample("unit", dist.Normal(0.0, 1.0))
        numpyro.sample("effect", dist.Normal(mean + spread * unit, errors), obs=effects)


def normal(model: Any) -> Any:
    """AutoNormal from the start that Pyro's has."""
    return autoguide.AutoNormal(model, init_loc_fn=init_to_feasible)


def _schools(loss: Any) -> Pair:
    return Pair(schools, normal(schools), (array(classics.EFFECTS), array(classics.ERRORS)), loss=loss)


@pair("eight_schools_Trace")
def _(start: Start) -> Pair:
    return _schools(Trace_ELBO())


@pair("eight_schools_four_particles")
def _(start: Start) -> Pair:
    return _schools(Trace_ELBO(4))


def regression(x: Any, y: Any) -> None:
    weight = numpyro.sample("weight", dist.Normal(jnp.zeros(3), 1.0).to_event(1))
    bias = numpyro.sample("bias", dist.Normal(0.0, 10.0))
    noise = numpyro.sample("noise", dist.LogNormal(0.0, 1.0))
    with numpyro.plate("data", len(x)):
        numpyro.sample("y", dist.Normal(x @ weight + bias, noise), obs=y)


XY = array(classics.X), array(classics.Y)


@pair("regression_AutoNormal")
def _(start: Start) -> Pair:
    return Pair(regression, normal(regression), XY)


@pair("regression_AutoDelta")
def _(start: Start) -> Pair:
    locs = {f"{name}_auto_loc": start[f"AutoDelta.{name}"] for name in ("weight", "bias")}
    locs["noise_auto_loc"] = jnp.exp(start["AutoDelta.noise"])
    return Pair(regression, autoguide.AutoDelta(regression), XY, start=locs)


@pair("regression_AutoDiagonalNormal")
def _(start: Start) -> Pair:
    begun = {"auto_loc": start["AutoDiagonalNormal.loc"]}
    return Pair(regression, autoguide.AutoDiagonalNormal(regression), XY, start=begun)


@pair("regression_AutoMultivariateNormal")
def _(start: Start) -> Pair:
    begun = {"auto_loc": start["AutoMultivariateNormal.loc"]}
    return Pair(regression, autoguide.AutoMultivariateNormal(regression), XY, start=begun)


@pair("regression_AutoLowRankMultivariateNormal")
def _(start: Start) -> Pair:
    name = "AutoLowRankMultivariateNormal"
    begun = {"auto_loc": start[f"{name}.loc"], "auto_cov_factor": start[f"{name}.cov_factor"]}
    begun["auto_scale"] = jnp.full(5, 0.1 * 0.5**0.5)
    return Pair(regression, autoguide.AutoLowRankMultivariateNormal(regression, rank=2), XY, start=begun)


@pair("logistic_regression")
def _(start: Start) -> Pair:
    def model(x: Any, y: Any) -> None:
        weight = numpyro.sample("weight", dist.Normal(jnp.zeros(3), 1.0).to_event(1))
        with numpyro.plate("data", 1000, subsample_size=100) as rows:
            numpyro.sample("y", dist.Bernoulli(logits=x[rows] @ weight), obs=y[rows])

    return Pair(model, normal(model), (array(draws(1000, 3)), array(coins(1000))))


@pair("correlated_effects")
def _(start: Start) -> Pair:
    def model(x: Any) -> None:
        with numpyro.plate("columns", 3):
            scales = numpyro.sample("scales", dist.HalfCauchy(1.0))
        corr = numpyro.sample("corr", dist.LKJCholesky(3, 2.0))
        with numpyro.plate("data", len(x)):
            numpyro.sample("x", dist.MultivariateNormal(jnp.zeros(3), scale_tril=scales[:, None] * corr), obs=x)

    return Pair(model, normal(model), XY[:1])


def _process(points: Any, curve: Any, jitter: float) -> Pair:
    def model(t: Any, y: Any) -> None:
        variance, lengthscale, noise = (
            numpyro.param(name, jnp.ones(()), constraint=constraints.positive)
            for name in ("variance", "lengthscale", "noise")
        )
        squared = ((t[:, None] - t) / lengthscale) ** 2
        covariance = variance * jnp.exp(-0.5 * squared) + (noise + jitter) * jnp.eye(len(t))
        factor = jnp.linalg.cholesky(covariance)
        numpyro.sample("y", dist.MultivariateNormal(jnp.zeros(len(t)), scale_tril=factor), obs=y)

    return Pair(model, lambda t, y: None, (array(points), array(curve)))


@pair("gaussian_process")
def _(start: Start) -> Pair:
    return _process(classics.T, classics.WAVE, 1e-6)


@pair("gaussian_process_of_many_points")
def _(start: Start) -> Pair:
    return _process(large.POINTS, large.CURVE, 1e-4)


@pair("logistic_regression_of_many_rows")
def _(start: Start) -> Pair:
    def model(x: Any, y: Any) -> None:
        weight = numpyro.sample("weight", dist.Normal(jnp.zeros(large.COLUMNS), 1.0).to_event(1))
        with numpyro.plate("data", len(x)):
            numpyro.sample("y", dist.Bernoulli(logits=x @ weight), obs=y)

    return Pair(model, normal(model), (array(large.ROWS), array(large.LABELS)))


@pair("item_responses")
def _(start: Start) -> Pair:
    def model(answers: Any) -> None:
        people = numpyro.plate("people", answers.shape[0], dim=-2)
        items = numpyro.plate("items", answers.shape[1], dim=-1)
        with people:
            ability = numpyro.sample("ability", dist.Normal(0.0, 1.0))
        with items:
            difficulty = numpyro.sample("difficulty", dist.Normal(0.0, 1.0))
            slope = numpyro.sample("slope", dist.LogNormal(0.0, 0.5))
        with people, items:
            numpyro.sample("answers", dist.Bernoulli(logits=slope * (ability - difficulty)), obs=answers)

    return Pair(model, normal(model), (array(large.ANSWERS),))


@pair("poisson_factorisation")
def _(start: Start) -> Pair:
    def model(counts: Any) -> None:
        left = numpyro.sample("left", dist.Gamma(0.3, 0.3).expand([counts.shape[0], 10]).to_event(2))
        right = numpyro.sample("right", dist.Gamma(0.3, 0.3).expand([10, counts.shape[1]]).to_event(2))
        numpyro.sample("counts", dist.Poisson(left @ right).to_event(2), obs=counts)

    return Pair(model, normal(model), (array(large.COUNTS),))


@pair("mixture_in_one_distribution")
def _(start: Start) -> Pair:
    def model(x: Any) -> None:
        weights = numpyro.sample("weights", dist.Dirichlet(jnp.ones(4)))
        locs = numpyro.sample("locs", dist.Normal(jnp.array([-6.0, -1.0, 3.0, 9.0]), 2.0).to_event(1))
        scales = numpyro.sample("scales", dist.LogNormal(jnp.zeros(4), 0.5).to_event(1))
        mixed = dist.MixtureSameFamily(dist.Categorical(weights), dist.Normal(locs, scales))
        with numpyro.plate("data", len(x)):
            numpyro.sample("x", mixed, obs=x)

    return Pair(model, normal(model), (array(large.CLUSTERED),))
