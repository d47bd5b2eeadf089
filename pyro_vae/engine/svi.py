"""Pyro's SVI, with a choice of engines."""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from operator import is_
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
from pyro_vae.engine.choice import fastest
from pyro_vae.engine.compiled import compile_graph
from pyro_vae.engine.owner import PyroOwner
from pyro_vae.engine.parallel import Average
from pyro_vae.engine.precision import Precision, settings
from pyro_vae.engine.program import Pass, Program, StepRecord
from pyro_vae.engine.surroundings import Slot
from pyro_vae.engine.update import OneOptimizer, TorchOwner

#: ``eager``: Pyro's own steps. ``captured``: the graph, operation by operation. ``compiled``: the graph, compiled by
#: Inductor. ``cudagraph``: the graph, recorded on a CUDA device and replayed. ``auto``: the fastest that suits.
EngineName = Literal["auto", "eager", "captured", "compiled", "cudagraph"]

MAX_CHANGES = 8  #: steps run eagerly once model, guide or optimizer were assigned anew so many times
EAGER_STEPS = 100  #: ``auto`` compiles a run of unknown length after so many steps


@dataclass(frozen=True)
class StepOptions:
    """Options of a step that Pyro's SVI does not have.

    Attributes:
        num_steps: the length of the run, for ``auto``; None if unknown.
        clip_norm: gradients are scaled down to this total norm; None leaves them. This option and those below are for
            a torch optimizer; with one of Pyro's, the step is Pyro's.
        per_image: divide the loss by the length of the first argument. Pyro does not.
        precision: of the networks' products; see :mod:`pyro_vae.engine.precision`.
        workers: the processes that take each step together, each with its own images.
    """

    num_steps: int | None = None
    clip_norm: float | None = None
    per_image: bool = False
    precision: Precision = "fp32"
    workers: Workers = ALONE


class SVI(pyro.infer.SVI):
    """Pyro's SVI for any program, without the overhead of Pyro and Python in each step.

    It replaces ``pyro.infer.SVI``: it has the same arguments, and gives the same losses from the same seed, up to
    float32 rounding, which a program may amplify (RESULTS.md). With Pyro's optimizers, the first step of each kind of
    call is Pyro's own. Then the step is captured as a graph of tensor operations, with the optimizer's step if
    possible, and compiled. Before each step, the SVI checks the values that the graph depends on besides its arguments;
    an audit finds changes that this check cannot see.

    Args:
        model: any Pyro model: a function, a bound method, a module.
        guide: its guide, likewise.
        optim: one of Pyro's optimizers or schedulers; or a torch optimizer, and then only its parameters are trained.
        loss: a Pyro ELBO, or a loss function as Pyro's SVI takes it.
        loss_and_grads: as in Pyro's SVI.
        engine: ``auto`` chooses the fastest that suits. It captures runs of some seconds and compiles long ones; a
            program without a static graph runs eagerly, with a warning of one line that gives the reason. A run of
            unknown length counts as long after 100 steps.
        audit: at steps 2, 4, 8 and so on, run the program beside the graph from the same random state, compare them,
            and undo the program's side effects.
        options: see :class:`StepOptions`.

    Attributes:
        engine: the name of the current engine.
        fallback: the reason why ``auto`` fell back to eager, or None.

    Raises:
        ValueError: if ``options`` are those of torch optimizers and the optimizer is one of Pyro's; by a step, if there
            is no engine of this name, or its device or precision does not fit.
        CaptureError: by a step, if the program has no static graph and the engine was chosen by name.
        AuditError: by a step, if the program and its graph differ.

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
        self.elbo = loss
        self.fallback: str | None = None
        self._automatic = engine == "auto"
        self._steps = self._changes = 0
        self._bind()

    def _bind(self) -> None:
        """Make the program from the attributes. It is made again when a caller has assigned others."""
        self._of = self._given()
        self._captured: Captured | None = None
        self.average: Average | None = None
        self.owner: TorchOwner | PyroOwner
        options = self.options
        if isinstance(self.optim, OneOptimizer):
            if options.workers.size > 1:
                self.average = Average(options.workers, options.clip_norm)
            self.owner = TorchOwner(self.optim.optimizer, self.average)
        elif replace(options, num_steps=None) != StepOptions():
            raise ValueError(
                "clip_norm, per_image, precision and workers are for torch optimizers; Pyro's clip by their clip_args"
            )
        else:
            self.owner = PyroOwner(self.optim)
        self.program = Program(
            self.model,
            self.guide,
            self.elbo,
            self.loss_and_grads,
            self.owner.parameters if isinstance(self.owner, TorchOwner) else None,
            None if self.average else options.clip_norm,
            options.per_image,
            options.precision,
        )

    def _given(self) -> tuple[Any, ...]:
        return self.model, self.guide, self.optim, self.loss_and_grads

    def step(self, *args: Any, **kwargs: Any) -> Any:
        """One step, as in Pyro; returns the loss, a float (a tuple of floats if the loss is a tuple)."""
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
        """One step; the scalars of its record stay on the device."""
        eagerly = isinstance(self.owner, PyroOwner) and self._runs_eagerly(args)
        done = None if eagerly else self._step(args, kwargs)
        if done is None:
            self._steps += eagerly
            done = self._by_pyro(args, kwargs)
        loss, log_likelihood, kl, norm = done.record.unbind()
        return StepRecord(loss, log_likelihood, kl, norm, done.terms)

    def _by_pyro(self, args: tuple, kwargs: dict[str, Any]) -> Pass:
        """Pyro's own step, and the gradients that it used."""
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
        """Whether the next step is eager; ``auto`` chooses its engine here.

        Raises:
            ValueError: if there is no engine of this name.
        """
        if self._automatic and self.engine == "auto":
            self._choose(args)
        elif self.engine not in get_args(EngineName):
            *others, last = get_args(EngineName)
            raise ValueError(f"no engine {self.engine!r}; there are {', '.join(others)} and {last}")
        return self.engine in ("auto", "eager")

    def _step(self, args: tuple, kwargs: dict[str, Any]) -> Pass | None:
        """A step by the engine; None if Pyro must take it."""
        if not all(map(is_, self._given(), self._of)):
            self._bind()
            self._changes += 1
            if self._changes == MAX_CHANGES and self.engine != "eager":
                self.engine, self._automatic = "eager", False
                self.fallback = "the SVI's model, guide or optimizer changes again and again: make an SVI for each"
                warnings.warn(f"{self.fallback}; steps run eagerly", stacklevel=3)
        if isinstance(self.owner, TorchOwner) and self.owner.grown():
            self.owner = TorchOwner(self.owner.optimizer, self.average)
            self.program.parameters, self._captured = self.owner.parameters, None
        done = None if self._runs_eagerly(args) else self._by_graph(args, kwargs)
        if done is None and isinstance(self.owner, TorchOwner):
            return self._eagerly(args, kwargs)
        return done

    def _by_graph(self, args: tuple, kwargs: dict[str, Any]) -> Pass | None:
        if self._captured is None:
            self._captured = self._capture()
        try:
            with self._settings():
                return self._captured(args, kwargs)
        except CaptureError as error:
            if not self._automatic:
                raise
            self.fallback = str(error)
            warnings.warn(f"the step runs eagerly, because it cannot be captured: {error}", stacklevel=4)
            self.engine, self._automatic, self._captured = "eager", False, None
            return None

    def _eagerly(self, args: tuple, kwargs: dict[str, Any]) -> Pass:
        """An eager step of a torch optimizer; the first one validates as the user has chosen."""
        assert isinstance(self.owner, TorchOwner)
        with settings(self.options.precision, self.owner.device):
            done = self.owner.step(self.program(args, kwargs, validate=self._steps == 0), captured=False)
        self._steps += 1
        return done

    def _capture(self) -> Captured:
        finishes: dict[str, Any] = {"compiled": compile_graph, "captured": lambda graph, arguments: None}
        finish = finishes.get(self.engine)
        if finish is None:
            from pyro_vae.engine.cudagraph import Replays

            finish = Replays(self.owner, self._fastest(()) == "compiled").finish
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
            return settings(self.options.precision, self.owner.device, captured=True)
        return nullcontext()

    def _choose(self, args: tuple) -> None:
        if isinstance(self.owner, TorchOwner) and self.owner.device.type == "cuda":
            self.engine = "cudagraph"
        elif self.options.num_steps is not None:
            self.engine = self._fastest(args)
        elif self._steps >= EAGER_STEPS:
            self.engine = "compiled"

    def _fastest(self, args: tuple) -> str:
        """The engine that suits the length of the run on a CPU."""
        rows = len(args[0]) if args and isinstance(args[0], torch.Tensor) and args[0].dim() else 1
        rows *= getattr(self.program.elbo, "num_particles", 1)
        return fastest(self.options.num_steps or 0, rows, sum(p.numel() for p in self.program.parameters or ()))

    def _explain(self, args: tuple, kwargs: dict[str, Any]) -> None:
        """Explain a NaN loss: raise Pyro's own error if validation finds one, else give Pyro's warning."""
        rehearse(Call(self.program, self._roots, args, kwargs, take_apart(args, kwargs)))
        warn_if_nan(torch.tensor(torch.nan), "loss")
