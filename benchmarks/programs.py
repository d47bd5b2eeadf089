"""Programs of Pyro's kinds: whether this project's SVI gives the losses of ``pyro.infer.SVI``, and how much faster.

    python -m benchmarks.programs [NAME ...] [--engine compiled] [--steps 20] [--rounds 15]

Both arms run in one process on one thread, step by step in turn; a speed is the median over the rounds of the ratio of
processor times side by side. The losses are compared at every step from one seed, the parameters after the last.
"""

import argparse
import statistics
import time
import warnings
from typing import Any, NamedTuple

import pyro
import pyro.infer
import torch

from benchmarks import program_classics, program_networks
from benchmarks.program_case import PROGRAMS, Make
from pyro_vae import SVI
from pyro_vae.engine import CaptureError

__all__ = ["PROGRAMS", "compare", "program_classics", "program_networks"]


class Arm:
    """One SVI on a program, with a param store and random numbers of its own."""

    def __init__(self, make: Make, kind: Any, **options: Any):
        self.state, self.noise = {"params": {}, "constraints": {}}, torch.get_rng_state()
        with self:
            pyro.set_rng_seed(1)
            self.case = make()
            model, guide, optim, loss, _ = self.case
            self.svi = kind(model, guide, optim, loss, **options)
        self.spent: list[float] = []

    def __enter__(self) -> None:
        store = pyro.get_param_store()
        self._tables = store._params, store._param_to_name, store._constraints
        own = getattr(self, "tables", ({}, {}, {}))
        store._params, store._param_to_name, store._constraints = own
        self._outer = torch.get_rng_state()
        torch.set_rng_state(self.noise)

    def __exit__(self, *_: object) -> None:
        store = pyro.get_param_store()
        self.tables = store._params, store._param_to_name, store._constraints
        store._params, store._param_to_name, store._constraints = self._tables
        self.noise = torch.get_rng_state()
        torch.set_rng_state(self._outer)

    def step(self) -> float:
        with self:
            began = time.process_time()
            loss = self.svi.step(*self.case.args)
            self.spent.append(time.process_time() - began)
        return loss


class Found(NamedTuple):
    """What a program showed.

    Attributes:
        loss: the largest relative difference of a loss.
        parameters: the largest difference of a parameter, relative to the largest entry of its tensor.
        eager: milliseconds of a step of Pyro's.
        speed: how many times faster.
        ready: seconds to the graph.
        refusal: why there is none.
    """

    loss: float
    parameters: float
    eager: float
    speed: float
    ready: float
    refusal: str = ""


def compare(make: Make, engine: str, steps: int, rounds: int) -> Found:
    """A program under both SVIs."""
    pyros, ours = Arm(make, pyro.infer.SVI), Arm(make, SVI, engine=engine)
    worst, began = 0.0, time.perf_counter()
    ready = 0.0
    for i in range(steps):
        expected = pyros.step()
        try:
            found = ours.step()
        except CaptureError as error:
            return Found(worst, 0.0, statistics.median(pyros.spent) * 1e3, 1.0, 0.0, str(error))
        ready = time.perf_counter() - began if i == 1 else ready
        if abs(expected) != float("inf"):
            worst = max(worst, abs(found - expected) / max(1.0, abs(expected)))
    apart = [
        float((b - a).abs().max() / (a.abs().max() + 1e-3))
        for a, b in ((p.detach(), ours.tables[0][name].detach()) for name, p in pyros.tables[0].items())
    ]
    ratios, times = [], []
    for _ in range(rounds):
        turn = []
        for arm in (pyros, ours):
            arm.spent.clear()
            for _ in range(10):
                arm.step()
            turn.append(statistics.median(arm.spent))
        ratios.append(turn[0] / turn[1])
        times.append(turn[0])
    speed, eager = (statistics.median(ratios), statistics.median(times)) if rounds else (float("nan"),) * 2
    return Found(worst, max(apart, default=0.0), eager * 1e3, speed, ready)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", default=sorted(PROGRAMS))
    parser.add_argument("--engine", default="compiled", choices=["captured", "compiled"])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    speeds = []
    print("| program | loss | parameters | Pyro, ms a step | times faster | ready, s |\n" + "| --- |" + " --- |" * 5)
    for name in options.names:
        found = compare(PROGRAMS[name], options.engine, options.steps, options.rounds)
        if found.refusal:
            print(f"| {name} | refused: {found.refusal[:150]} | | | | |", flush=True)
            continue
        speeds.append(found.speed)
        print(
            f"| {name} | {found.loss:.0e} | {found.parameters:.0e} | {found.eager:.2f} | {found.speed:.1f}"
            f" | {found.ready:.1f} |",
            flush=True,
        )
    if speeds:
        print(
            f"\n{len(speeds)} of {len(options.names)} captured; {statistics.median(speeds):.1f} times faster (median)."
        )


if __name__ == "__main__":
    main()
