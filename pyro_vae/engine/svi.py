"""Pyro's SVI, at the pace of an engine."""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pyro.infer
import pyro.optim
import torch
from pyro.util import warn_if_nan

from pyro_vae.distributed import ALONE, Workers
from pyro_vae.engine.arguments import take_apart
from pyro_vae.engine.blame import CaptureError
from pyro_vae.engine.capture import Call, rehearse
from pyro_vae.engine.captured import Captured
from pyro_vae.engine.compiled import compile_graph
from pyro_vae.engine.owner import PyroOwner
from pyro_vae.engine.parallel import Average
from pyro_vae.engine.precision import Precision, settings
from pyro_vae.engine.program import Pass, Program, StepRecord
from pyro_vae.engine.surroundings import Slot
from pyro_vae.engine.update import TorchOwner

#: ``eager``: Pyro's own steps. ``captured``: the graph, operation by operation. ``compiled``: by Inductor.
#: ``cudagraph``: recorded on a CUDA device and replayed. ``auto``: the fastest of these that suits.
EngineName = Literal["auto", "eager", "captured", "compiled", "cudagraph"]

COMPILE_SECONDS = 20.0  #: what Inductor takes for the two graphs of a run, on two cores
SAVED_SECONDS = 2.5e-3  #: what a compiled step saves of Python and Pyro
SAVED_PER_FLOP = 2.5e-12  #: and of arithmetic, by fusing and by oneDNN's products
EAGER_STEPS = 100  #: that ``auto`` takes of a run of unknown length before it compiles


class OneOptimizer(pyro.optim.PyroOptim):
    """A torch optimizer in the place where Pyro's SVI wants one of its own, which make an optimizer a parameter."""

    def __init__(self, optimizer: torch.optim.Optimizer):
        super().__init__(type(optimizer), {})
        self.optimizer = optimizer
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]

    def __call__(self, params: Any = None, *args: Any, **kwargs: Any) -> None:
        self.optimizer.step()


@dataclass(frozen=True)
class StepOptions:
    """What Pyro's SVI has no word for.

    Attributes:
        clip_norm: gradients of a torch optimizer are scaled down to this total norm; None leaves them.
        per_image: with a torch optimizer, divide the loss by the length of the first argument. Pyro does not.
        precision: of the networks' products; see :mod:`pyro_vae.engine.precision`.
        num_steps: how long the run is, for ``auto``; None is unknown.
        workers: the processes that take each step together, each with its own images; for a torch optimizer.
    """

    clip_norm: float | None = None
    per_image: bool = False
    precision: Precision = "fp32"
    num_steps: int | None = None
    workers: Workers = ALONE


class SVI(pyro.infer.SVI):
    """Pyro's SVI for any program, whose steps cost what their arithmetic costs.

    It takes the place of ``pyro.infer.SVI``: the same arguments, the same losses from the same seed. The first step of
    each kind of call is Pyro's own. After it the step is captured as a graph of tensor operations, the optimizer's step
    in it, and compiled. What the graph depends on besides its arguments is watched; what cannot be watched is found by
    an audit.

    Args:
        model: any Pyro model: a function, a bound method, a module.
        guide: its guide, likewise.
        optim: one of Pyro's optimizers or schedulers; or a torch optimizer, whose parameters alone are then trained.
        loss: a Pyro ELBO, or a loss function as Pyro's SVI takes it.
        loss_and_grads: as in Pyro's SVI.
        engine: ``auto`` takes the fastest that suits: it compiles long runs, and runs eagerly, with one line of
            warning that says why, what has no static graph. A run of unknown length counts as long after 100 steps.
        audit: at steps 2, 4, 8 and so on the program runs beside the graph from the same random state, without effect,
            and has to agree.
        options: for runs with a torch optimizer.

    Attributes:
        engine: the name of the engine at work.
        fallback: why ``auto`` fell back to eager, or None.

    Raises:
        CaptureError: by a step of a program without a static graph, where the engine was asked for by name.
        AuditError: by a step at which the program and its graph differ.

    Example:
        >>> import pyro, torch
        >>> import pyro.distributions as dist
        >>> from pyro_vae import SVI
        >>> def model(x):
        ...     mean = pyro.sample("mean", dist.Normal(0.0, 10.0))
        ...     with pyro.plate("data", len(x)):
        ...         pyro.sample("x", dist.Normal(mean, 1.0), obs=x)
        >>> guide = pyro.infer.autoguide.AutoNormal(model)
        >>> with pyro.get_param_store().scope():
        ...     adam = pyro.optim.Adam({"lr": 0.05})
        ...     svi = SVI(model, guide, adam, pyro.infer.Trace_ELBO(), engine="captured")
        ...     _ = pyro.set_rng_seed(0)
        ...     x = 3 + torch.randn(100)
        ...     losses = [svi.step(x) for _ in range(300)]
        ...     print(abs(guide.median()["mean"].item() - x.mean().item()) < 0.1)
        True
    """

    def __init__(
        self,
        model: Callable,
        guide: Callable,
        optim: torch.optim.Optimizer | pyro.optim.PyroOptim,
        loss: Any,
        loss_and_grads: Callable | None = None,
        engine: EngineName = "auto",
        audit: bool = True,
        options: StepOptions = StepOptions(),
        **kwargs: Any,
    ):
        pyros = OneOptimizer(optim) if isinstance(optim, torch.optim.Optimizer) else optim
        super().__init__(model, guide, pyros, loss, loss_and_grads, **kwargs)
        self.engine: str = engine
        self.audit, self.options = audit, options
        self.average: Average | None = None
        self.owner: TorchOwner | PyroOwner
        if isinstance(optim, torch.optim.Optimizer):
            if options.workers.size > 1:
                self.average = Average(options.workers, options.clip_norm)
            self.owner = TorchOwner(optim, self.average)
        else:
            self.owner = PyroOwner(optim)
        self.program = Program(
            model,
            guide,
            loss,
            self.loss_and_grads,
            self.owner.parameters if isinstance(self.owner, TorchOwner) else None,
            None if self.average else options.clip_norm,
            options.per_image,
            options.precision,
        )
        self.fallback: str | None = None
        self._automatic = engine == "auto"
        self._captured: Captured | None = None
        self._steps = 0

    def step(self, *args: Any, **kwargs: Any) -> Any:
        """One step, as Pyro's: returns the loss, a float (a tuple of floats for losses that are tuples)."""
        if isinstance(self.owner, PyroOwner) and self._runs_eagerly(args):
            self._steps += 1
            return super().step(*args, **kwargs)
        done = self._step(args, kwargs)
        if done is None:
            return super().step(*args, **kwargs)
        if done.losses is not None:
            return tuple(part.item() for part in done.losses)
        loss = done.loss()
        if loss != loss:
            self._explain(args, kwargs)
        return loss

    def step_record(self, *args: Any, **kwargs: Any) -> StepRecord:
        """One step; what it says of itself stays on the device."""
        eagerly = isinstance(self.owner, PyroOwner) and self._runs_eagerly(args)
        done = None if eagerly else self._step(args, kwargs)
        if done is None:
            self._steps += eagerly
            done = self._by_pyro(args, kwargs)
        loss, log_likelihood, kl, norm = done.record.unbind()
        return StepRecord(loss, log_likelihood, kl, norm, done.terms)

    def _by_pyro(self, args: tuple, kwargs: dict[str, Any]) -> Pass:
        """Pyro's own step, and what it moved by."""
        kept: list[Pass] = []
        optim = self.optim

        def measured(params: Any) -> None:
            gradients = tuple(None if p.grad is None else p.grad.to_dense() for p in params)
            with torch.no_grad():
                kept.append(self.program.summed_up(0.0, tuple(params), gradients))
            optim(params)

        self.optim = measured
        try:
            loss = super().step(*args, **kwargs)
        finally:
            self.optim = optim
        record = kept[0].record.clone()
        record[0] = sum(loss) if isinstance(loss, tuple) else loss
        return kept[0]._replace(record=record)

    def _runs_eagerly(self, args: tuple) -> bool:
        """Whether the next step is eager; chooses the engine the first time."""
        if self._automatic and self.engine == "auto":
            self._choose(args)
        elif self.engine not in get_args(EngineName):
            *others, last = get_args(EngineName)
            raise ValueError(f"no engine {self.engine!r}; there are {', '.join(others)} and {last}")
        return self.engine in ("auto", "eager")

    def _step(self, args: tuple, kwargs: dict[str, Any]) -> Pass | None:
        """A step by the engine; None where Pyro is to take it."""
        if self._runs_eagerly(args):
            return self._eagerly(args, kwargs)
        if self._captured is None:
            self._captured = self._capture()
        try:
            with self._settings():
                done = self._captured(args, kwargs)
        except CaptureError as error:
            if not self._automatic:
                raise
            self.fallback = str(error)
            warnings.warn(f"the step runs eagerly, because it cannot be captured: {error}", stacklevel=3)
            self.engine, self._automatic, self._captured = "eager", False, None
            done = None
        if done is None and isinstance(self.owner, TorchOwner):
            return self._eagerly(args, kwargs)
        return done

    def _eagerly(self, args: tuple, kwargs: dict[str, Any]) -> Pass:
        """A step of a torch optimizer at Pyro's pace, the first one with the user's validation."""
        assert isinstance(self.owner, TorchOwner)
        with settings(self.options.precision, self.owner.device):
            done = self.owner.step(self.program(args, kwargs, validate=self._steps == 0), captured=False)
        self._steps += 1
        return done

    def _capture(self) -> Captured:
        finish: Any = {"compiled": _compiled, "captured": _as_it_is}.get(self.engine)
        if finish is None:
            from pyro_vae.engine.cudagraph import Replays

            finish = Replays(self.owner, self._repays(())).finish
        loss = self.program.elbo
        weight = [Slot(vars(loss), "kl_weight", "kl_weight")] if "kl_weight" in getattr(loss, "__dict__", {}) else []
        return Captured(self.program, self._roots, self.owner, finish, self.audit, weight)

    @property
    def _roots(self) -> dict[str, Any]:
        """The objects that the program consists of, by name."""
        return {"model": self.model, "guide": self.guide, "loss": self.program.elbo}

    def _settings(self) -> AbstractContextManager[None]:
        """The process settings for a captured step."""
        if isinstance(self.owner, TorchOwner):
            return settings(self.options.precision, self.owner.device)
        return nullcontext()

    def _choose(self, args: tuple) -> None:
        if isinstance(self.owner, PyroOwner) and self.options.num_steps is None:
            if self._steps >= EAGER_STEPS:
                self.engine = "compiled"
            return
        device = self.owner.device if isinstance(self.owner, TorchOwner) else torch.device("cpu")
        self.engine = "cudagraph" if device.type == "cuda" else "compiled" if self._repays(args) else "eager"

    def _repays(self, args: tuple) -> bool:
        """Whether the run is long enough to repay Inductor's time. A rule of counts, so that every run repeats it."""
        rows = len(args[0]) if args and isinstance(args[0], torch.Tensor) and args[0].dim() else 1
        rows *= getattr(self.program.elbo, "num_particles", 1)
        flops = 6 * rows * sum(p.numel() for p in self.program.parameters or ())
        return (self.options.num_steps or 0) * (SAVED_SECONDS + SAVED_PER_FLOP * flops) > COMPILE_SECONDS

    def _explain(self, args: tuple, kwargs: dict[str, Any]) -> None:
        """A loss that is no number: Pyro's own error where validation finds one, else its warning."""
        rehearse(Call(self.program, self._roots, args, kwargs, take_apart(args, kwargs)))
        warn_if_nan(torch.tensor(torch.nan), "loss")


def _compiled(graph: Any, arguments: Any) -> None:
    compile_graph(graph, arguments)


def _as_it_is(graph: Any, arguments: Any) -> None:
    """The graph itself runs."""
