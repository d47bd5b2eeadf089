"""The captured step, compiled by PyTorch's Inductor."""

import logging
import warnings
from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor

from pyro_vae.engine.base import AnyOptimizer, Engine, signature
from pyro_vae.engine.capture import Graph
from pyro_vae.engine.parallel import Average
from pyro_vae.engine.precision import keep_pages
from pyro_vae.engine.program import Gradients, Pass, Program
from pyro_vae.engine.update import Update

#: graphs that one engine keeps; a program that is called with more kinds of batches than this is not static
MAX_GRAPHS = 8

# Random numbers come from torch's generator as in eager mode, so that a seed, or a state that was saved, gives the
# same draws in both.
OPTIONS = {"fallback_random": True}


def compile_graph(graph: Graph, batch: list[Tensor]) -> None:
    """Let Inductor compile a graph; where it cannot (no C++ compiler, say) warn, and leave the graph as it is."""
    # On a machine with CUDA's tools and no CUDA device, this import would warn that there is none.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    from torch._inductor import compile as inductor  # a second's import, paid by those who compile

    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # Inductor's, of PyTorch's own functions
            graph.run = inductor(graph.module, [*graph.inputs(batch)], options=OPTIONS)
    except Exception as error:  # whatever goes wrong in a compiler, the graph itself still runs
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
        warnings.warn(f"Inductor did not compile the step, which runs operation by operation: {reason}", stacklevel=2)


def warn_of_kinds() -> None:
    """Say that no more graphs are made."""
    warnings.warn(f"the batches were of {MAX_GRAPHS} kinds so far; further kinds run eagerly", stacklevel=3)


class Compiled(Engine):
    """Forward and backward pass are one compiled function; the optimizer's fused kernel, captured too, follows it.

    Each kind of batch, such as a shorter last one, has its own graph over the same parameters.

    Args:
        program, optimizer, average: see :class:`~pyro_vae.engine.base.Engine`.
        inductor: without it, the graph runs operation by operation: no compiler is needed, nor its time; only
            Python's and Pyro's part of the step is saved.

    Raises:
        CaptureError: at a step whose program is not static.
    """

    def __init__(
        self, program: Program, optimizer: AnyOptimizer, inductor: bool = True, average: Average | None = None
    ):
        super().__init__(program, optimizer, average)
        self.inductor = inductor
        self.graphs: dict[Hashable, Graph] = {}

    def _begin(self) -> None:
        super()._begin()
        self.update = Update(self.optimizer, self.program.parameters)
        if self.device.type == "cpu":
            keep_pages()

    def _update(self, gradients: Gradients) -> None:
        self.update(gradients)

    def _pass(self, args: tuple, kwargs: dict[str, Any]) -> Pass:
        key, batch = signature(self.program, args, kwargs)
        graph = self.graphs.get(key)
        if graph is None:
            if len(self.graphs) == MAX_GRAPHS:
                warn_of_kinds()
                return self.program(*args, **kwargs)
            graph = Graph(self.program, args, kwargs)
            if self.inductor:
                compile_graph(graph, batch)
            self.graphs[key] = graph
        graph.read_weight()
        return graph(batch)
