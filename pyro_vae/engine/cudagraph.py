"""The captured step as one CUDA graph: the device repeats it without the host."""

import warnings
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pyro_vae.engine.base import AnyOptimizer, Engine, signature
from pyro_vae.engine.capture import CaptureError, Graph
from pyro_vae.engine.compiled import MAX_GRAPHS, compile_graph, warn_of_kinds
from pyro_vae.engine.parallel import Average
from pyro_vae.engine.program import Pass, Program
from pyro_vae.engine.update import Rates, hyperparameters, take_step

#: the kind of device that records; the tests have a stand-in for it
DEVICE = "cuda"

#: steps taken launch by launch before recording: libraries choose their kernels, the optimizer makes its state
WARM_UP = 3


class CudaGraph(Engine):
    """The whole step, the optimizer's included, recorded once and replayed.

    The batch is copied into the graph's own input. The learning rate and the KL weight are tensors that each step
    fills from the optimizer and the objective, which keep plain numbers. Noise is fresh, for the device's generator
    moves its offset at each replay; its state may be saved and restored between steps. An optimizer without a
    ``capturable`` mode (SGD, Adagrad) steps beside the graph, and so does any where gradients are averaged over
    processes. The terms on the objective are the graph's own memory,
    good until the next step; the record is a copy.

    The first steps of each kind of batch are real steps without a graph; nothing is rehearsed on the parameters.

    Args:
        program, optimizer, average: see :class:`~pyro_vae.engine.base.Engine`.
        inductor: whether Inductor fuses the kernels first, which costs its time once.

    Raises:
        ValueError: where the parameters are not on a CUDA device.
        CaptureError: at a step whose program is not static, works on the host or waits for the device.
    """

    def __init__(
        self, program: Program, optimizer: AnyOptimizer, inductor: bool = False, average: Average | None = None
    ):
        self.inductor = inductor
        self.replays: dict[Hashable, _Replay] = {}
        super().__init__(program, optimizer, average)

    def _begin(self) -> None:
        super()._begin()
        if self.device.type != DEVICE:
            raise ValueError(f"a CUDA graph needs parameters on a CUDA device, not on {self.device}")
        capturable = all("capturable" in group for group in self.optimizer.param_groups)
        self.whole = capturable and self.average is None
        self.rates = Rates(self.optimizer, dtype=torch.float32, device=self.device)
        # A state that was loaded lies elsewhere in memory than the one that the graphs write to.
        self.optimizer.register_load_state_dict_post_hook(lambda _: self.replays.clear())

    def _pass(self, args: tuple, kwargs: dict[str, Any]) -> Pass:
        return self.program(*args, **kwargs)

    def _step(self, args: tuple, kwargs: dict[str, Any]) -> Pass:
        kind, batch = signature(self.program, args, kwargs)
        key = kind, hyperparameters(self.optimizer)
        replay = self.replays.get(key)
        if replay is None:
            if len(self.replays) == MAX_GRAPHS:
                warn_of_kinds()
                return super()._step(args, kwargs)
            if self.whole:
                make_capturable(self.optimizer)
            replay = self.replays[key] = _Replay(self, batch, args, kwargs)
        self.rates.read()
        with torch.cuda.device(self.device):  # whose current stream all engines work on
            done = replay(batch)
        return done if self.whole else self._move(done)


class _Replay:
    """One kind of batch."""

    def __init__(self, engine: CudaGraph, batch: list[Tensor], args: tuple, kwargs: dict[str, Any]):
        self.engine = engine
        self.batch = [t.detach().clone() for t in batch]
        self.graph = Graph(engine.program, args, kwargs)
        if engine.inductor:
            compile_graph(self.graph, self.batch)
        self.stream = torch.cuda.Stream(engine.device)
        self.recorded: torch.cuda.CUDAGraph | None = None
        self.steps = 0

    def __call__(self, batch: list[Tensor]) -> Pass:
        self.graph.read_weight()
        for own, given in zip(self.batch, batch, strict=True):
            own.copy_(given, non_blocking=True)
        if self.steps < WARM_UP:
            self.steps += 1
            self.stream.wait_stream(torch.cuda.current_stream())
            try:
                with torch.cuda.stream(self.stream), without_sync() if self.steps == WARM_UP else nullcontext():
                    return self._work()
            finally:
                torch.cuda.current_stream().wait_stream(self.stream)
        if self.recorded is None:
            self._record()
        assert self.recorded is not None
        self.recorded.replay()
        self.engine.optimizer._opt_called = True  # type: ignore[attr-defined]  # what a scheduler asks for
        return self.done._replace(record=self.done.record.clone())

    def _record(self) -> None:
        recorded = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(recorded, stream=self.stream):
                self.done = self._work()
        except RuntimeError as error:
            raise CaptureError(f"no CUDA graph: {str(error).splitlines()[0]}") from error
        self.recorded = recorded

    def _work(self) -> Pass:
        """What the graph holds."""
        done = self.graph(self.batch)
        if self.engine.whole:
            with self.engine.rates.live():
                take_step(self.engine.optimizer, self.engine.program.parameters, done.gradients)
        return done


@contextmanager
def without_sync() -> Iterator[None]:
    """Within it, an operation that waits for the device is refused.

    It could not be recorded either, but a recording that fails leaves torch's generator and allocator unfit for what
    follows. The last step without a graph finds it while all is well.
    """
    old = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, that it does not find all of them
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    except RuntimeError as error:
        if "synchronizing" not in str(error):
            raise
        raise CaptureError(f"no CUDA graph: {str(error).splitlines()[0]}") from error
    finally:
        torch.cuda.set_sync_debug_mode(old)


def make_capturable(optimizer: Optimizer) -> None:
    """Let the optimizer count its steps on the device."""
    optimizer._warned_capturable_if_run_uncaptured = True  # no need to warn: the first steps are so
    for group in optimizer.param_groups:
        group["capturable"] = True
        for parameter in group["params"]:
            state = optimizer.state.get(parameter, {})
            if "step" in state:
                state["step"] = torch.as_tensor(state["step"], dtype=torch.float32, device=parameter.device)
