"""NumPyro beside a program of the suite: the same model, guide, optimizer and rates, and one jitted update a step."""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

# Both sides run on one thread and on the host; JAX reads these when it is imported.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax
import numpy as np
import numpyro

from benchmarks.program_case import timed

Start = dict[str, np.ndarray]  #: what the parameters of the Pyro program start from, unconstrained, by Pyro's names


class Pair(NamedTuple):
    """What NumPyro's SVI and its steps take.

    Attributes:
        model, guide: of the SVI.
        args: of each step, arrays of JAX.
        lr: of Adam.
        optim: where it is another than Adam.
        loss: NumPyro's ELBO.
        start: what parameters start from where NumPyro's own start is another than Pyro's.
    """

    model: Callable
    guide: Callable
    args: tuple = ()
    lr: float = 0.01
    optim: Any = None
    loss: Any = None
    start: dict[str, Any] | None = None


PAIRS: dict[str, Callable[[Start], Pair]] = {}  #: programs of the suite that are written in NumPyro too, by name


def pair(name: str) -> Callable[[Callable[[Start], Pair]], Callable[[Start], Pair]]:
    """Add a program to the pairs, under the name of its program in the suite."""

    def add(make: Callable[[Start], Pair]) -> Callable[[Start], Pair]:
        PAIRS[name] = make
        return make

    return add


def array(tensor: Any) -> Any:
    """A tensor as an array of JAX."""
    return jax.numpy.asarray(tensor.numpy())


class NumPyroArm:
    """NumPyro's SVI on a program; ``jax.jit(svi.update)`` is called at each step.

    Args:
        name: of the program.
        start: of the Pyro program.
    """

    def __init__(self, name: str, start: Start):
        self.case = PAIRS[name](start)
        loss, optim = self.case.loss or numpyro.infer.Trace_ELBO(), self.case.optim or numpyro.optim.Adam(self.case.lr)
        self.svi = numpyro.infer.SVI(self.case.model, self.case.guide, optim, loss)
        self.restart(0)
        self._update = jax.jit(self.svi.update)

    def restart(self, seed: int) -> None:
        """Start the parameters and the optimizer anew, with other random numbers."""
        key = jax.random.PRNGKey(seed)
        self.state = self.svi.init(key, *self.case.args, init_params=self.case.start)

    def step(self) -> float:
        self.state, loss = self._update(self.state, *self.case.args)
        return float(loss)

    def steps(self, count: int) -> list[float]:
        """The processor times of so many steps, seconds."""
        return timed(self.step, count)
