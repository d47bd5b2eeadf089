"""The arms of a program: Pyro's SVI, its ``Jit*_ELBO``, and this project's, each with a param store of its own."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pyro
import pyro.infer
import torch
from pyro import poutine
from torch import Tensor

from benchmarks.program_case import Make, ProgramCase, timed
from pyro_vae import SVI
from pyro_vae.engine import CaptureError


class Arm:
    """One SVI on a program, with a param store and random numbers of its own.

    Args:
        make: the program.
        kind: from model, guide, optimizer and loss to an SVI.
    """

    def __init__(self, make: Make, kind: Callable[..., Any], **options: Any):
        self.tables: tuple[dict, dict, dict] = ({}, {}, {})
        self.noise = torch.get_rng_state()
        with self:
            pyro.set_rng_seed(1)
            self.case: ProgramCase = make()
            model, guide, optim, loss, _ = self.case
            self.svi = kind(model, guide, optim, loss, **options)

    def __enter__(self) -> None:
        store = pyro.get_param_store()
        self._outer_tables = store._params, store._param_to_name, store._constraints
        store._params, store._param_to_name, store._constraints = self.tables
        self._outer_noise = torch.get_rng_state()
        torch.set_rng_state(self.noise)

    def __exit__(self, *_: object) -> None:
        store = pyro.get_param_store()
        self.tables = store._params, store._param_to_name, store._constraints
        store._params, store._param_to_name, store._constraints = self._outer_tables
        self.noise = torch.get_rng_state()
        torch.set_rng_state(self._outer_noise)

    def step(self) -> float:
        with self:
            return self.svi.step(*self.case.args)

    def steps(self, count: int) -> list[float]:
        """The processor times of so many steps, seconds."""
        with self:
            step, args = self.svi.step, self.case.args
            return timed(lambda: step(*args), count)

    def nudge(self, size: float) -> None:
        """Move each parameter by this part of itself."""
        for parameter in self.tables[0].values():
            parameter.data.mul_(1 + size)

    def restart(self, start: dict[str, Tensor], seed: int) -> None:
        """Put parameters and optimizer to their start in place, with other random numbers; for Adam and its kin."""
        with self:
            pyro.set_rng_seed(seed)
            for name, parameter in pyro.get_param_store()._params.items():
                parameter.data.copy_(start[name])
            for optimizer in self.svi.optim.optim_objs.values():
                (group,) = optimizer.param_groups
                group["lr"] = self.svi.optim.pt_optim_args["lr"]
                for state in optimizer.state.values():
                    for name, value in state.items():
                        state[name] = value.zero_() if isinstance(value, Tensor) else 0
            self.noise = torch.get_rng_state()


def start_of(make: Make) -> dict[str, Tensor]:
    """What the parameters of a program start from, unconstrained, by name."""
    with pyro.get_param_store().scope(), torch.random.fork_rng(devices=[]):
        pyro.set_rng_seed(1)
        case = make()
        guided = poutine.trace(case.guide).get_trace(*case.args)
        poutine.trace(poutine.replay(case.model, trace=guided)).get_trace(*case.args)
        return {name: p.detach().clone() for name, p in pyro.get_param_store()._params.items()}


def jitted(model: Callable, guide: Callable, optim: Any, loss: Any) -> pyro.infer.SVI:
    """Pyro's SVI with the loss that ``torch.jit`` traces.

    Raises:
        AttributeError: where Pyro has none.
    """
    kind = getattr(pyro.infer, f"Jit{type(loss).__name__}")
    names = ("num_particles", "max_plate_nesting", "vectorize_particles", "strict_enumeration_warning")
    options = {name: getattr(loss, name) for name in names}
    return pyro.infer.SVI(model, guide, optim, kind(**options, ignore_jit_warnings=True))


class Found(NamedTuple):
    """How far two SVIs are apart.

    Attributes:
        loss: the largest relative difference of a loss.
        parameters: the largest difference of a parameter, relative to the largest entry of its tensor.
        amplified: what the first would be between Pyro's SVI and itself, with the parameters off by 1e-7 of themselves
            after the first step: what the program makes of rounding. 0 where that was not measured.
        refusal: why there is no graph.
    """

    loss: float
    parameters: float
    amplified: float = 0.0
    refusal: str = ""


def relative(found: float, expected: float) -> float:
    """The relative difference of two losses; that of an infinite one is 0."""
    return 0.0 if abs(expected) == float("inf") else abs(found - expected) / max(1.0, abs(expected))


def compare(make: Make, engine: str, steps: int, amplify: bool = False) -> tuple[Found, Arm, Arm]:
    """The same steps of a program under Pyro's SVI and this project's, and both."""
    pyros, ours = Arm(make, pyro.infer.SVI), Arm(make, SVI, engine=engine)
    nudged = Arm(make, pyro.infer.SVI) if amplify else None
    worst = amplified = 0.0
    for i in range(steps):
        expected = pyros.step()
        try:
            worst = max(worst, relative(ours.step(), expected))
        except CaptureError as error:
            return Found(worst, 0.0, amplified, str(error)), pyros, ours
        if nudged is not None:
            amplified = max(amplified, relative(nudged.step(), expected))
            if i == 0:
                nudged.nudge(1e-7)
    assert pyros.tables[0].keys() == ours.tables[0].keys()
    apart = [
        float((b - a).abs().max() / (a.abs().max() + 1e-3))
        for a, b in ((p.detach(), ours.tables[0][name].detach()) for name, p in pyros.tables[0].items())
    ]
    return Found(worst, max(apart, default=0.0), amplified), pyros, ours
