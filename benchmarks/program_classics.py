"""Programs without networks: hierarchical models, regressions, mixtures, time series, Gaussian processes."""

from typing import Any

import pyro
import pyro.contrib.gp as gp
import pyro.distributions as dist
import torch
from pyro import infer, poutine
from pyro.distributions import constraints
from pyro.infer import Trace_ELBO, TraceEnum_ELBO, TraceGraph_ELBO, autoguide, config_enumerate
from torch import Tensor

from benchmarks.program_case import ProgramCase, adam, coins, draws, family, program

EFFECTS = torch.tensor([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = torch.tensor([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def schools(effects: Tensor, errors: Tensor) -> None:
    """Eight schools, with effects in units of their spread."""
    mean = pyro.sample("mean", dist.Normal(0.0, 10.0))
    spread = pyro.sample("spread", dist.HalfCauchy(10.0))
    with pyro.plate("schools", 8):
        unit = pyro.sample("unit", dist.Normal(0.0, 1.0))
        pyro.sample("effect", dist.Normal(mean + spread * unit, errors), obs=effects)


LOSSES = {
    "Trace": Trace_ELBO,
    "TraceMeanField": infer.TraceMeanField_ELBO,
    "TraceGraph": TraceGraph_ELBO,
    "four_particles": lambda: Trace_ELBO(4, vectorize_particles=True, max_plate_nesting=1),
    "Renyi": lambda: infer.RenyiELBO(num_particles=4, vectorize_particles=True, max_plate_nesting=1),
    "TailAdaptive": lambda: infer.TraceTailAdaptive_ELBO(4, vectorize_particles=True, max_plate_nesting=1),
}
family(
    "eight_schools",
    lambda loss: ProgramCase(schools, autoguide.AutoNormal(schools), adam(), loss(), (EFFECTS, ERRORS)),
    LOSSES,
)
OPTIMIZERS = {
    "ClippedAdam": lambda: pyro.optim.ClippedAdam({"lr": 0.01, "lrd": 0.999}),
    "clipped_SGD": lambda: pyro.optim.SGD({"lr": 1e-4, "momentum": 0.9}, {"clip_norm": 10.0}),
    "MultiStepLR": lambda: pyro.optim.MultiStepLR(
        {"optimizer": torch.optim.Adam, "optim_args": {"lr": 0.01}, "milestones": [10], "gamma": 0.1}
    ),
}
family(
    "eight_schools",
    lambda optim: ProgramCase(schools, autoguide.AutoNormal(schools), optim(), Trace_ELBO(), (EFFECTS, ERRORS)),
    OPTIMIZERS,
)


def regression(x: Tensor, y: Tensor) -> None:
    """A line with unknown noise."""
    weight = pyro.sample("weight", dist.Normal(torch.zeros(3), 1.0).to_event(1))
    bias = pyro.sample("bias", dist.Normal(0.0, 10.0))
    noise = pyro.sample("noise", dist.LogNormal(0.0, 1.0))
    with pyro.plate("data", len(x)):
        pyro.sample("y", dist.Normal(x @ weight + bias, noise), obs=y)


X = draws(100, 3)
Y = X @ torch.tensor([1.0, -2.0, 0.5]) + 0.3 * draws(100, seed=1)
AUTOGUIDES: dict[str, Any] = {
    "AutoNormal": autoguide.AutoNormal,
    "AutoDiagonalNormal": autoguide.AutoDiagonalNormal,
    "AutoMultivariateNormal": autoguide.AutoMultivariateNormal,
    "AutoLowRankMultivariateNormal": lambda model: autoguide.AutoLowRankMultivariateNormal(model, rank=2),
    "AutoIAFNormal": lambda model: autoguide.AutoIAFNormal(model, hidden_dim=[16]),
    "AutoDelta": autoguide.AutoDelta,
    "AutoLaplaceApproximation": autoguide.AutoLaplaceApproximation,
    "AutoStructured": autoguide.AutoStructured,
    "AutoNormalMessenger": autoguide.AutoNormalMessenger,
    "AutoHierarchicalNormalMessenger": autoguide.AutoHierarchicalNormalMessenger,
}
family(
    "regression",
    lambda kind: ProgramCase(regression, kind(regression), adam(), Trace_ELBO(), (X, Y)),
    AUTOGUIDES,
)


@program
def logistic_regression() -> ProgramCase:
    def model(x: Tensor, y: Tensor) -> None:
        weight = pyro.sample("weight", dist.Normal(torch.zeros(3), 1.0).to_event(1))
        with pyro.plate("data", 1000, subsample_size=100) as rows:
            pyro.sample("y", dist.Bernoulli(logits=x[rows] @ weight), obs=y[rows])

    return ProgramCase(model, autoguide.AutoNormal(model), adam(), Trace_ELBO(), (draws(1000, 3), coins(1000)))


@config_enumerate
def mixture(x: Tensor) -> None:
    """Two Gaussians; which one is summed out."""
    weights = pyro.sample("weights", dist.Dirichlet(torch.ones(2)))
    with pyro.plate("components", 2):
        locs = pyro.sample("locs", dist.Normal(0.0, 10.0))
    with pyro.plate("data", len(x)):
        which = pyro.sample("which", dist.Categorical(weights))
        pyro.sample("x", dist.Normal(locs[which], 1.0), obs=x)


@program
def gaussian_mixture() -> ProgramCase:
    guide = autoguide.AutoNormal(poutine.block(mixture, expose=["weights", "locs"]))
    x = torch.cat([draws(50) - 3, draws(50, seed=1) + 3])
    return ProgramCase(mixture, guide, adam(), TraceEnum_ELBO(max_plate_nesting=1), (x,))


@program
def mixture_enumerated_in_the_guide() -> ProgramCase:
    def model(x: Tensor) -> None:
        with pyro.plate("data", 100):
            which = pyro.sample("which", dist.Bernoulli(0.5))
            pyro.sample("x", dist.Normal(which * 3, 1.0), obs=x)

    @config_enumerate
    def guide(x: Tensor) -> None:
        p = pyro.param("p", torch.full((100,), 0.3), constraint=constraints.unit_interval)
        with pyro.plate("data", 100):
            pyro.sample("which", dist.Bernoulli(p))

    return ProgramCase(model, guide, adam(), TraceEnum_ELBO(max_plate_nesting=1), (draws(100) + 1,))


@program
def score_function_with_a_baseline() -> ProgramCase:
    def model(x: Tensor) -> None:
        with pyro.plate("data", 100):
            which = pyro.sample("which", dist.Bernoulli(0.5))
            pyro.sample("x", dist.Normal(which * 3, 1.0), obs=x)

    def guide(x: Tensor) -> None:
        p = pyro.param("p", torch.full((100,), 0.3), constraint=constraints.unit_interval)
        value = pyro.param("baseline", torch.tensor(-2.0))
        with pyro.plate("data", 100):
            pyro.sample("which", dist.Bernoulli(p), infer={"baseline": {"baseline_value": value.expand(100)}})

    return ProgramCase(model, guide, adam(), TraceGraph_ELBO(), (draws(100) + 1,))


@program
def hidden_markov_model() -> ProgramCase:
    @config_enumerate
    def model(x: Tensor) -> None:
        moves = pyro.sample("moves", dist.Dirichlet(0.9 * torch.eye(4) + 0.1).to_event(1))
        notes = pyro.sample("notes", dist.Beta(0.1, 0.9).expand([4, 5]).to_event(2))
        tones = pyro.plate("tones", 5, dim=-1)
        with pyro.plate("sequences", len(x), dim=-2):
            state: Any = 0
            for t in pyro.markov(range(x.shape[1])):
                state = pyro.sample(f"state_{t}", dist.Categorical(moves[state]))
                with tones:
                    pyro.sample(f"x_{t}", dist.Bernoulli(notes[state.squeeze(-1)]), obs=x[:, t])

    guide = autoguide.AutoDelta(poutine.block(model, expose=["moves", "notes"]))
    return ProgramCase(model, guide, adam(0.05), TraceEnum_ELBO(max_plate_nesting=2), (coins(6, 8, 5),))


@program
def discrete_hmm_in_one_distribution() -> ProgramCase:
    def model(x: Tensor) -> None:
        moves = pyro.sample("moves", dist.Normal(torch.zeros(3, 3), 1.0).to_event(2))
        locs = pyro.sample("locs", dist.Normal(torch.tensor([-2.0, 0.0, 2.0]), 1.0).to_event(1))
        hmm = dist.DiscreteHMM(torch.zeros(3), moves.log_softmax(-1), dist.Normal(locs, 1.0))
        pyro.sample("x", hmm, obs=x)

    return ProgramCase(model, autoguide.AutoNormal(model), adam(), Trace_ELBO(), (draws(30),))


@program
def latent_dirichlet_allocation() -> ProgramCase:
    @config_enumerate
    def model(words: Tensor) -> None:
        with pyro.plate("topics", 3):
            topic_words = pyro.sample("topic_words", dist.Dirichlet(torch.ones(20) / 20))
        with pyro.plate("documents", words.shape[1]):
            doc_topics = pyro.sample("doc_topics", dist.Dirichlet(torch.ones(3) / 3))
            with pyro.plate("words", words.shape[0]):
                topic = pyro.sample("topic", dist.Categorical(doc_topics))
                pyro.sample("word", dist.Categorical(topic_words[topic]), obs=words)

    words = torch.randint(20, (12, 10), generator=torch.Generator().manual_seed(0))
    guide = autoguide.AutoNormal(poutine.block(model, hide=["topic"]))
    return ProgramCase(model, guide, adam(), TraceEnum_ELBO(max_plate_nesting=2), (words,))


@program
def capture_recapture() -> ProgramCase:
    """Cormack, Jolly and Seber: whether an animal lives is summed out along its history."""

    @config_enumerate
    def model(caught: Tensor) -> None:
        survival = pyro.sample("survival", dist.Uniform(0.0, 1.0))
        recapture = pyro.sample("recapture", dist.Uniform(0.0, 1.0))
        with pyro.plate("animals", len(caught), dim=-1):
            alive: Any = torch.ones(len(caught))
            for t in pyro.markov(range(caught.shape[1])):
                alive = pyro.sample(f"alive_{t}", dist.Bernoulli(alive * survival))
                pyro.sample(f"caught_{t}", dist.Bernoulli(alive * recapture), obs=caught[:, t])

    guide = autoguide.AutoDiagonalNormal(poutine.block(model, expose=["survival", "recapture"]))
    return ProgramCase(model, guide, adam(), TraceEnum_ELBO(max_plate_nesting=1), (coins(20, 6, p=0.2),))


@program
def local_level_forecast() -> ProgramCase:
    def model(y: Tensor) -> None:
        drift = pyro.sample("drift", dist.LogNormal(-2.0, 1.0))
        noise = pyro.sample("noise", dist.LogNormal(0.0, 1.0))
        with pyro.plate("time", len(y), dim=-1):
            moves = pyro.sample("moves", dist.StudentT(4.0, 0.0, drift))
        with pyro.plate("observed", len(y), dim=-1):
            pyro.sample("y", dist.Normal(moves.cumsum(-1), noise), obs=y)

    return ProgramCase(model, autoguide.AutoNormal(model), pyro.optim.DCTAdam({"lr": 0.01}), Trace_ELBO(), (Y,))


@program
def correlated_effects() -> ProgramCase:
    def model(x: Tensor) -> None:
        with pyro.plate("columns", 3):
            scales = pyro.sample("scales", dist.HalfCauchy(1.0))
        corr = pyro.sample("corr", dist.LKJCholesky(3, torch.tensor(2.0)))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.MultivariateNormal(torch.zeros(3), scale_tril=scales[:, None] * corr), obs=x)

    return ProgramCase(model, autoguide.AutoNormal(model), adam(), Trace_ELBO(), (X,))


T, WAVE = torch.linspace(0, 6, 50), torch.linspace(0, 6, 50).sin() + 0.1 * draws(50)


@program
def gaussian_process() -> ProgramCase:
    process = gp.models.GPRegression(T, WAVE, gp.kernels.RBF(1))
    return ProgramCase(process.model, process.guide, adam(), Trace_ELBO())


@program
def sparse_variational_gaussian_process() -> ProgramCase:
    kernel, likelihood = gp.kernels.Matern32(1), gp.likelihoods.Gaussian()
    process = gp.models.VariationalSparseGP(T, WAVE, kernel, Xu=T[::6].clone(), likelihood=likelihood, jitter=1e-4)
    return ProgramCase(process.model, process.guide, adam(), infer.TraceMeanField_ELBO())
