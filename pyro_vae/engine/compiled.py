"""The captured step, compiled by PyTorch's Inductor."""

import logging
import os
import platform
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._guards import TracingContext, tracing
from torch._subclasses.fake_tensor import FakeTensorMode

from pyro_vae import user_cache
from pyro_vae.engine.arguments import Arguments
from pyro_vae.engine.graph import Graph, same
from pyro_vae.engine.precision import keep_pages
from pyro_vae.seeds import seeded

# Random numbers come from torch's generator as in eager mode, so that a seed, or a state that was saved, gives the
# same draws in both.
OPTIONS = {"fallback_random": True}


def cache_folder() -> Path:
    """Where Inductor keeps what it compiled: a private folder of this user, one for each machine and version.

    Code for another instruction set, version or number of threads is not taken for this one's.
    """
    isa = torch.backends.cpu.get_cpu_capability().replace(" ", "-")
    kind = f"torch-{torch.__version__}_{platform.machine()}-{isa}_{torch.get_num_threads()}-threads"
    return user_cache.cache_folder() / "inductor" / kind


def use_cache_folder() -> None:
    """Let Inductor keep its code in :func:`cache_folder`, unless the user said where."""
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    if os.environ.get("TORCHINDUCTOR_CACHE_DIR", default_cache_dir()) != default_cache_dir():
        return  # torch itself sets the variable to its default when it is asked for it
    folder = cache_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        own = not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
    except OSError:  # a home that cannot be written to: Inductor's own choice stays
        return
    if own:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)


class Differs(Exception):
    """Inductor's code does not compute what the graph does."""


def _copied(tensor: Tensor) -> Tensor:
    """A copy with the same strides, which Inductor's code counts on."""
    tensor = tensor.detach()
    if tensor.layout is not torch.strided:
        return tensor.clone()
    if torch._debug_has_internal_overlap(tensor) == 1:  # an expanded tensor, which no operation can write to
        return tensor
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device).copy_(tensor)


def _check_same(graph: Graph, compiled: Callable[..., Sequence[Tensor]], inputs: Sequence[Tensor]) -> None:
    """Hold one step of Inductor's code against the graph, on copies of its inputs and from one random state.

    Raises:
        Differs: where loss or gradient norm is another.
    """
    records = []
    for run in (graph.module, compiled):
        with seeded(0):
            outputs = run(*map(_copied, inputs))
        records.append(graph.traced.layout.together(outputs).record.double().cpu())
    mine, its = records
    if not (same(mine[0], its[0], 1e-4) and same(mine[-1], its[-1], 2e-3)):
        raise Differs(f"its loss is {its[0]:.8g} and gradient norm {its[-1]:.6g}, not {mine[0]:.8g} and {mine[-1]:.6g}")


def compile_graph(graph: Graph, arguments: Arguments) -> None:
    """Let Inductor compile a graph; where it cannot (no C++ compiler, say) warn, and leave the graph as it is."""
    # On a machine with CUDA's tools and no CUDA device, this import would warn that there is none.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    use_cache_folder()
    from torch._inductor import compile as inductor  # a second's import, paid by those who compile

    inputs: list[Any] = graph.inputs(arguments)
    if all(t.device.type == "cpu" for t in inputs):
        keep_pages()
    try:
        from torch.fx.experimental.symbolic_shapes import ShapeEnv  # it imports sympy, which --help does not need

        # Inductor asks the tracing context for an environment of shapes before it looks into its cache.
        shapes = tracing(TracingContext(FakeTensorMode(shape_env=ShapeEnv(), static_shapes=True)))
        with torch.no_grad(), shapes, warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # Inductor's, of PyTorch's own functions
            compiled = inductor(graph.module, inputs, options=OPTIONS)
            _check_same(graph, compiled, inputs)
        graph.run = compiled
    except Exception as error:  # whatever goes wrong in a compiler, the graph itself still runs
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
        warnings.warn(f"Inductor did not compile the step, which runs operation by operation: {reason}", stacklevel=2)
