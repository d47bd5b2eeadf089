"""Programs whose arithmetic takes a millisecond or more: what counts there is the code of the products and the sums."""

import pyro
import pyro.contrib.gp as gp
import pyro.distributions as dist
import torch
from pyro.infer import Trace_ELBO, autoguide
from torch import Tensor

from benchmarks.program_case import ProgramCase, adam, coins, draws, program

ROWS, COLUMNS = draws(50_000, 20), 20
LABELS = coins(50_000)
ANSWERS = coins(600, 100, p=0.6)
COUNTS = torch.poisson(draws(400, 300, seed=2).exp(), generator=torch.Generator().manual_seed(3))
POINTS = torch.linspace(0, 6, 400)
CURVE = POINTS.sin() + 0.1 * draws(400)
CLUSTERED = draws(20_000) + torch.tensor([-4.0, 0.0, 4.0, 8.0])[torch.arange(20_000) % 4]


@program
def logistic_regression_of_many_rows() -> ProgramCase:
    def model(x: Tensor, y: Tensor) -> None:
        weight = pyro.sample("weight", dist.Normal(torch.zeros(COLUMNS), 1.0).to_event(1))
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Bernoulli(logits=x @ weight), obs=y)

    return ProgramCase(model, autoguide.AutoNormal(model), adam(), Trace_ELBO(), (ROWS, LABELS))


@program
def item_responses() -> ProgramCase:
    """Whether a person answers an item: abilities, difficulties, discriminations (the 2PL model)."""

    def model(answers: Tensor) -> None:
        people = pyro.plate("people", answers.shape[0], dim=-2)
        items = pyro.plate("items", answers.shape[1], dim=-1)
        with people:
            ability = pyro.sample("ability", dist.Normal(0.0, 1.0))
        with items:
            difficulty = pyro.sample("difficulty", dist.Normal(0.0, 1.0))
            slope = pyro.sample("slope", dist.LogNormal(0.0, 0.5))
        with people, items:
            pyro.sample("answers", dist.Bernoulli(logits=slope * (ability - difficulty)), obs=answers)

    return ProgramCase(model, autoguide.AutoNormal(model), adam(), Trace_ELBO(), (ANSWERS,))


@program
def poisson_factorisation() -> ProgramCase:
    def model(counts: Tensor) -> None:
        left = pyro.sample("left", dist.Gamma(0.3, 0.3).expand([counts.shape[0], 10]).to_event(2))
        right = pyro.sample("right", dist.Gamma(0.3, 0.3).expand([10, counts.shape[1]]).to_event(2))
        pyro.sample("counts", dist.Poisson(left @ right).to_event(2), obs=counts)

    guide = autoguide.AutoNormal(model, init_loc_fn=autoguide.initialization.init_to_feasible)
    return ProgramCase(model, guide, adam(), Trace_ELBO(), (COUNTS,))


@program
def gaussian_process_of_many_points() -> ProgramCase:
    process = gp.models.GPRegression(POINTS, CURVE, gp.kernels.RBF(1), jitter=1e-4)
    return ProgramCase(process.model, process.guide, adam(), Trace_ELBO())


@program
def mixture_in_one_distribution() -> ProgramCase:
    """Four Gaussians on many rows, summed out by the distribution itself."""

    def model(x: Tensor) -> None:
        weights = pyro.sample("weights", dist.Dirichlet(torch.ones(4)))
        locs = pyro.sample("locs", dist.Normal(torch.tensor([-6.0, -1.0, 3.0, 9.0]), 2.0).to_event(1))
        scales = pyro.sample("scales", dist.LogNormal(torch.zeros(4), 0.5).to_event(1))
        mixed = dist.MixtureSameFamily(dist.Categorical(weights), dist.Normal(locs, scales))
        with pyro.plate("data", len(x)):
            pyro.sample("x", mixed, obs=x)

    return ProgramCase(model, autoguide.AutoNormal(model), adam(), Trace_ELBO(), (CLUSTERED,))
