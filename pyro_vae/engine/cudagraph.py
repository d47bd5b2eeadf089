"""The captured step as one CUDA graph: the device repeats it without the host."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch.optim import Optimizer

from pyro_vae.engine.arguments import Arguments
from pyro_vae.engine.blame import CaptureError
from pyro_vae.engine.compiled import compile_graph
from pyro_vae.engine.graph import Graph
from pyro_vae.engine.program import Pass
from pyro_vae.engine.update import Rates, TorchOwner, hyperparameters, take_step

#: the kind of device that records; the tests have a stand-in for it
DEVICE = "cuda"

#: steps before recording, in which libraries choose their kernels and the optimizer makes its state
WARM_UP = 3


class Replays:
    """Records the graphs of a program as CUDA graphs, with the optimizer's step if possible, and replays them.

    Each step copies the batch into the graph's input. The learning rate and the KL weight are plain numbers of the
    optimizer and the objective; each step copies them into tensors. Noise is fresh, because the device's generator
    moves its offset at each replay; its state may be saved and restored between steps. The optimizer steps outside the
    graph if it has no ``capturable`` mode (SGD, Adagrad), if it is Pyro's, or if several processes average gradients.
    The terms of a step lie in the graph's memory and are valid until the next step; the record is a copy.

    The first steps of each kind of batch are real steps without a CUDA graph.

    Args:
        owner: moves the parameters.
        inductor: whether Inductor compiles the graph first; that costs time once.

    Raises:
        ValueError: if the parameters are not on a CUDA device.
    """

    def __init__(self, owner: Any, inductor: bool = False):
        self.owner, self.inductor = owner, inductor
        self.replays: list[Replay] = []
        self.whole = False
        if isinstance(owner, TorchOwner):
            self._require(owner.device)
            capturable = all("capturable" in group for group in owner.optimizer.param_groups)
            self.whole = capturable and owner.average is None
            self.rates = Rates(owner.optimizer, dtype=torch.float32, device=owner.device)
            # load_state_dict replaces the tensors that the graphs write to.
            owner.optimizer.register_load_state_dict_post_hook(lambda _: self.forget())

    @staticmethod
    def _require(device: torch.device) -> None:
        if device.type != DEVICE:
            raise ValueError(f"a CUDA graph needs parameters on a CUDA device, not on {device}")

    def forget(self) -> None:
        """Drop the CUDA graphs; the next steps warm up and record again."""
        for replay in self.replays:
            replay.recorded, replay.steps = None, 0

    def finish(self, graph: Graph, arguments: Arguments) -> "Replay":
        """The replay that runs instead of a graph."""
        device = next((t.device for t in graph.constants if t.device.type == DEVICE), torch.device("cpu"))
        self._require(device)
        if self.inductor:
            compile_graph(graph, arguments)
        if self.whole:
            make_capturable(self.owner.optimizer)
        replay = Replay(self, graph, arguments, device)
        self.replays.append(replay)
        return replay


class Replay:
    """The CUDA graph of one kind of batch.

    Attributes:
        moves: whether it also moves the parameters.
    """

    def __init__(self, replays: Replays, graph: Graph, arguments: Arguments, device: torch.device):
        self.replays, self.graph, self.device = replays, graph, device
        self.moves = replays.whole
        self.batch = [t.detach().clone() for t in arguments.tensors]
        self.stream = torch.cuda.Stream(device)
        self.recorded: Any = None
        self.steps = 0
        self._recorded_with: Any = None

    def __call__(self, arguments: Arguments) -> Pass:
        with torch.cuda.device(self.device):  # all engines use the current stream of this device
            return self._run(arguments)

    def _run(self, arguments: Arguments) -> Pass:
        own = arguments._replace(tensors=self.batch)
        self.graph.numbers.read(arguments.numbers)
        for mine, given in zip(self.batch, arguments.tensors, strict=True):
            mine.copy_(given, non_blocking=True)
        if self.moves:
            self.replays.rates.read()
            held = hyperparameters(self.replays.owner.optimizer)
            if held != self._recorded_with:
                self.recorded, self.steps, self._recorded_with = None, 0, held
        if self.steps < WARM_UP:
            self.steps += 1
            self.stream.wait_stream(torch.cuda.current_stream())
            try:
                with torch.cuda.stream(self.stream), without_sync() if self.steps == WARM_UP else nullcontext():
                    return self.work(own)
            finally:
                torch.cuda.current_stream().wait_stream(self.stream)
        if self.recorded is None:
            self._record(own)
        self.recorded.replay()
        if self.moves:
            self.replays.owner.optimizer._opt_called = True  # a scheduler reads it
        return self.done._replace(record=self.done.record.clone())

    def _record(self, own: Arguments) -> None:
        recorded = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(recorded, stream=self.stream):
                self.done = self.work(own)
        except RuntimeError as error:
            raise CaptureError(f"no CUDA graph: {str(error).splitlines()[0]}") from error
        # On its own stream, the recording sets the generator's place to 0. On a busy device this came after the first
        # replay had set it, and that step drew the noise of the run's first step again.
        torch.cuda.current_stream().wait_stream(self.stream)
        self.recorded = recorded

    def work(self, own: Arguments) -> Pass:
        """One step on the graph's own input; this is recorded."""
        done = self.graph(own)
        if self.moves:
            owner = self.replays.owner
            with self.replays.rates.live():
                take_step(owner.optimizer, owner.parameters, done.gradients)
        return done


@contextmanager
def without_sync() -> Iterator[None]:
    """In this context, an operation that waits for the device raises a CaptureError.

    Such an operation cannot be recorded, and a failed recording leaves torch's generator and allocator unusable. So the
    last step before the recording looks for it.
    """
    old = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that this mode misses some operations
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
    optimizer._warned_capturable_if_run_uncaptured = True  # the first steps run without a CUDA graph on purpose
    for group in optimizer.param_groups:
        group["capturable"] = True
        for parameter in group["params"]:
            state = optimizer.state.get(parameter, {})
            if "step" in state:
                state["step"] = torch.as_tensor(state["step"], dtype=torch.float32, device=parameter.device)
