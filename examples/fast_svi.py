"""Two Pyro programs before and after: eight schools and a Bayesian network, by pyro.infer.SVI and by pyro_vae.SVI.

    python examples/fast_svi.py [--engine compiled] [--steps 1000]

The same seed gives the same losses; only the time of a step changes.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import pyro.infer
import torch
from pyro.infer import Trace_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.nn import PyroModule, PyroSample
from torch import Tensor, nn

from pyro_vae import SVI

EFFECTS = torch.tensor([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = torch.tensor([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def eight_schools(effects: Tensor, errors: Tensor) -> None:
    """Effects of coaching in eight schools, with a common mean and spread."""
    mean = pyro.sample("mean", dist.Normal(0.0, 10.0))
    spread = pyro.sample("spread", dist.HalfCauchy(10.0))
    with pyro.plate("schools", 8):
        unit = pyro.sample("unit", dist.Normal(0.0, 1.0))
        pyro.sample("effect", dist.Normal(mean + spread * unit, errors), obs=effects)


class BayesianNetwork(PyroModule):
    """A small network whose weights have priors."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = PyroModule[nn.Linear](1, 16), PyroModule[nn.Linear](16, 1)
        for layer in (self.first, self.second):
            layer.weight = PyroSample(dist.Normal(0.0, 1.0).expand(layer.weight.shape).to_event(2))
            layer.bias = PyroSample(dist.Normal(0.0, 1.0).expand(layer.bias.shape).to_event(1))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        mean = self.second(self.first(x).tanh()).squeeze(-1)
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(mean, 0.1), obs=y)
        return mean


def fit(kind: Any, make: Callable, args: tuple, steps: int, **options: Any) -> tuple[list[float], float]:
    """The losses of a run from seed 0, and the milliseconds of a step after the first hundred."""
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    model = make()
    svi = kind(model, AutoNormal(model), pyro.optim.Adam({"lr": 0.01}), Trace_ELBO(), **options)
    losses = [svi.step(*args) for _ in range(100)]
    began = time.perf_counter()
    losses += [svi.step(*args) for _ in range(steps - 100)]
    return losses, (time.perf_counter() - began) / max(1, steps - 100) * 1e3


def main() -> None:
    """Both programs, by both SVIs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--engine", default="compiled", choices=["captured", "compiled"])
    parser.add_argument("--steps", type=int, default=1000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    x = torch.linspace(-2, 2, 50)[:, None]
    programs = {
        "eight schools": (lambda: eight_schools, (EFFECTS, ERRORS)),
        "Bayesian network": (BayesianNetwork, (x, (2 * x).sin().squeeze(-1))),
    }
    for name, (make, args) in programs.items():
        before, slow = fit(pyro.infer.SVI, make, args, options.steps)
        after, fast = fit(SVI, make, args, options.steps, engine=options.engine)
        apart = max(abs(a - b) / max(1.0, abs(b)) for a, b in zip(after, before, strict=True))
        print(f"{name}: {slow:.2f} ms a step before, {fast:.2f} after; largest difference of a loss {apart:.0e}")


if __name__ == "__main__":
    main()
