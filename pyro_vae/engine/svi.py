"""Pyro's SVI over one torch optimizer, at the pace of an engine."""

import warnings
from typing import Any, Literal

import pyro.infer
import pyro.optim
import torch
from torch import Tensor, nn

from pyro_vae.distributed import ALONE, Workers
from pyro_vae.engine.base import Eager, Engine
from pyro_vae.engine.capture import CaptureError
from pyro_vae.engine.compiled import Compiled
from pyro_vae.engine.cudagraph import CudaGraph
from pyro_vae.engine.parallel import Average
from pyro_vae.engine.precision import Precision
from pyro_vae.engine.program import Program, StepRecord

EngineName = Literal["auto", "eager", "compiled", "cudagraph"]

COMPILE_SECONDS = 20.0  #: what Inductor takes for the two graphs of a run, on two cores
SAVED_SECONDS = 2.5e-3  #: what a compiled step saves of Python and Pyro
SAVED_PER_FLOP = 2.5e-12  #: and of arithmetic, by fusing and by oneDNN's products


class OneOptimizer(pyro.optim.PyroOptim):
    """A torch optimizer in the place where Pyro's SVI wants one of its own, which make an optimizer a parameter."""

    def __init__(self, optimizer: torch.optim.Optimizer):
        super().__init__(type(optimizer), {})
        self.optimizer = optimizer
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]

    def __call__(self, params: Any = None, *args: Any, **kwargs: Any) -> None:
        self.optimizer.step()


class SVI(pyro.infer.SVI):
    """Pyro's SVI over one torch optimizer.

    Pyro's own makes one optimizer for every parameter, which costs more than the arithmetic of a small network. Here
    the parameters are simply those of the optimizer, the loss stays on the device, and an engine runs the step; all
    engines give the same numbers.

    Args:
        model: the Pyro model, a module.
        guide: the Pyro guide, a module.
        optim: an optimizer over the parameters of both.
        loss: a Pyro ELBO.
        clip_norm: gradients are scaled down to this total norm; None leaves them.
        engine: ``eager``, ``compiled``, ``cudagraph``, or ``auto``, which takes the fastest that suits: on CUDA the
            graph; on a CPU the compiled step where the run is long enough to repay its compilation; and eager where
            the program has no static graph, with one line of warning that says why.
        precision: of the networks' products.
        num_steps: how long the run is, for ``auto``; None takes it for short.
        workers: the processes that take each step together, each with its own images; every engine can.

    Attributes:
        engine: the name of the engine at work.
        fallback: why ``auto`` fell back to eager, or None.

    Raises:
        CaptureError: at the first step of a program without a static graph, where the engine was asked for by name.
    """

    def __init__(
        self,
        model: nn.Module,
        guide: nn.Module,
        optim: torch.optim.Optimizer,
        loss: pyro.infer.ELBO,
        clip_norm: float | None = None,
        engine: EngineName = "eager",
        precision: Precision = "fp32",
        num_steps: int | None = None,
        workers: Workers = ALONE,
    ):
        super().__init__(model, guide, OneOptimizer(optim), loss)
        parameters = self.optim.parameters
        self.average = Average(workers, clip_norm) if workers.size > 1 else None
        own_clip = None if self.average else clip_norm
        self.program = Program(model, guide, loss, parameters, own_clip, per_image=True, precision=precision)
        self.engine: str = engine
        self._automatic = engine == "auto"
        self.fallback: str | None = None
        self.num_steps = num_steps or 0
        self._run: Engine | None = None

    def step(self, x: Tensor, y: Tensor | None = None, share: float = 1.0) -> StepRecord:
        """One step on the images ``(N, *image_shape)``; the record's scalars stay on the device.

        Args:
            x: the images.
            y: their labels ``(N,)``, for models that take them.
            share: what part of the step's images they are, where several processes take it together. The record is
                then that of all images, in each of them.
        """
        if self.average is not None:
            self.average.share = share
        given = {} if y is None else {"y": y}
        if self._run is None:
            self._choose(x)
        assert self._run is not None
        try:
            return self._run(x, **given)
        except CaptureError as error:
            if not self._automatic:
                raise
            self.fallback = str(error)
            warnings.warn(f"the step runs eagerly, for it cannot be captured: {error}", stacklevel=2)
        self.engine, self._automatic = "eager", False
        self._run = Eager(self.program, self.optim.optimizer, self.average)
        return self._run(x, **given)

    def _choose(self, x: Tensor) -> None:
        optimizer, device = self.optim.optimizer, self.program.parameters[0].device
        long = self._repays(x)
        if self._automatic:
            self.engine = "cudagraph" if device.type == "cuda" else "compiled" if long else "eager"
        if self.engine == "cudagraph":
            self._run = CudaGraph(self.program, optimizer, long, self.average)
        elif self.engine == "compiled":
            self._run = Compiled(self.program, optimizer, average=self.average)
        elif self.engine == "eager":
            self._run = Eager(self.program, optimizer, self.average)
        else:
            raise ValueError(f"no engine {self.engine!r}; there are auto, eager, compiled and cudagraph")

    def _repays(self, x: Tensor) -> bool:
        """Whether the run is long enough to repay Inductor's time. A rule of counts, so that every run repeats it."""
        rows = len(x) * getattr(self.program.elbo, "num_particles", 1)
        flops = 6 * rows * sum(p.numel() for p in self.program.parameters)
        return self.num_steps * (SAVED_SECONDS + SAVED_PER_FLOP * flops) > COMPILE_SECONDS
