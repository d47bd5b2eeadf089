"""On a CUDA device: every part gives as a CUDA graph what it gives eagerly, and Pyro's programs what Pyro gives."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import Trace_ELBO, TraceEnum_ELBO, TraceGraph_ELBO, autoguide, config_enumerate
from test_coverage import CASES, records, said_of

from pyro_vae import SVI

pytestmark = pytest.mark.cuda
STEPS = 8  #: three before the recording, then replays


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(case.values()))
def test_a_part_gives_the_eager_numbers_as_a_cuda_graph(case):
    if said_of(case) != "yes":
        pytest.skip("no graph: see CAPTURE.md")
    expected = records(STEPS, device="cuda", **case)
    found = records(STEPS, device="cuda", engine="cudagraph", **case)
    assert expected.isfinite().all()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def data(*shape):
    return torch.randn(*shape, generator=torch.Generator("cpu").manual_seed(0), device="cpu").cuda()


def regression(x, y):
    weight = pyro.sample("weight", dist.Normal(x.new_zeros(3), x.new_tensor(1.0)).to_event(1))
    noise = pyro.sample("noise", dist.LogNormal(x.new_tensor(0.0), x.new_tensor(1.0)))
    with pyro.plate("data", len(x)):
        pyro.sample("y", dist.Normal((x * weight).sum(-1), noise), obs=y)


@config_enumerate
def mixture(x):
    weights = pyro.sample("weights", dist.Dirichlet(x.new_ones(2)))
    with pyro.plate("components", 2):
        places = pyro.sample("places", dist.Normal(x.new_tensor(0.0), x.new_tensor(3.0)))
    with pyro.plate("data", len(x)):
        which = pyro.sample("which", dist.Categorical(weights))
        pyro.sample("x", dist.Normal(places[which], x.new_tensor(0.5)), obs=x)


def coin(x):
    p = pyro.sample("p", dist.Beta(x.new_tensor(2.0), x.new_tensor(2.0)))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Bernoulli(p), obs=x)


def coin_guide(x):
    a = pyro.param("a", x.new_tensor(3.0), constraint=dist.constraints.positive)
    pyro.sample("p", dist.Beta(a, a))


PROGRAMS = {
    "regression": lambda: (regression, autoguide.AutoNormal(regression), Trace_ELBO(), (data(50, 3), data(50))),
    "full rank": lambda: (
        regression,
        autoguide.AutoMultivariateNormal(regression, init_loc_fn=autoguide.init_to_median),
        Trace_ELBO(4, vectorize_particles=True, max_plate_nesting=1),
        (data(50, 3), data(50)),
    ),
    "enumeration": lambda: (
        mixture,
        autoguide.AutoDelta(pyro.poutine.block(mixture, expose=["weights", "places"])),
        TraceEnum_ELBO(max_plate_nesting=1),
        (data(40),),
    ),
    "TraceGraph": lambda: (coin, coin_guide, TraceGraph_ELBO(), ((data(30) > 0).float(),)),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("engine", ["captured", "compiled", "cudagraph", "auto"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_of_pyros_gives_pyros_losses(name, engine):
    def losses(kind, **options):
        with pyro.get_param_store().scope(), torch.device("cuda"):
            pyro.set_rng_seed(0)
            model, guide, loss, args = PROGRAMS[name]()
            svi = kind(model, guide, pyro.optim.Adam({"lr": 0.02}), loss, **options)
            return [svi.step(*args) for _ in range(120 if engine == "auto" else 12)]

    expected = losses(pyro.infer.SVI)
    torch.testing.assert_close(losses(SVI, engine=engine), expected, rtol=1e-3, atol=1e-3)
