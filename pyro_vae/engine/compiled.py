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

# Random numbers come from torch's generator, as in eager mode, so that a seed or a saved state gives the same draws.
OPTIONS = {"fallback_random": True}


def cache_folder() -> Path:
    """The folder of Inductor's compiled code, private to this user.

    Each version of torch, instruction set and number of threads has its own folder, so that none runs another's code.
    """
    isa = torch.backends.cpu.get_cpu_capability().replace(" ", "-")
    kind = f"torch-{torch.__version__}_{platform.machine()}-{isa}_{torch.get_num_threads()}-threads"
    return user_cache.cache_folder() / "inductor" / kind


def use_cache_folder() -> None:
    """Let Inductor keep its code in :func:`cache_folder`, unless the user chose another folder."""
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    if os.environ.get("TORCHINDUCTOR_CACHE_DIR", default_cache_dir()) != default_cache_dir():
        return  # torch sets the variable to its default when something asks for the folder
    folder = cache_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        own = not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
    except OSError:  # the home folder is read-only: keep Inductor's default
        return
    if own:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)


class Differs(Exception):
    """Inductor's code computes other numbers than the graph."""


def _copied(tensor: Tensor) -> Tensor:
    """A copy with the same strides, because Inductor's code assumes them."""
    tensor = tensor.detach()
    if tensor.layout is not torch.strided:
        return tensor.clone()
    if torch._debug_has_internal_overlap(tensor) == 1:  # an expanded tensor, which no operation can write to
        return tensor
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device).copy_(tensor)


def _check_same(graph: Graph, compiled: Callable[..., Sequence[Tensor]], inputs: Sequence[Tensor]) -> None:
    """Compare one step of Inductor's code with the graph, on copies of its inputs and from one random state.

    Raises:
        Differs: if the losses differ by more than 1e-4, or the gradient norms by more than 2e-3 (relative).
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
    """Let Inductor compile a graph. If that fails (without a C++ compiler, say), warn and keep the graph uncompiled."""
    # On a machine with CUDA's tools but no CUDA device, this import warns about the missing device.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    use_cache_folder()
    from torch._inductor import compile as inductor  # a second's import, paid by those who compile

    from pyro_vae.engine.cheaper import Cheaper

    inputs: list[Any] = graph.inputs(arguments)
    module = graph.module
    if all(t.device.type == "cpu" for t in inputs):
        keep_pages()
    try:
        from torch.fx.experimental.symbolic_shapes import ShapeEnv  # it imports sympy, which --help does not need

        # Inductor asks the tracing context for an environment of shapes before it looks into its cache.
        shapes = tracing(TracingContext(FakeTensorMode(shape_env=ShapeEnv(), static_shapes=True)))
        with torch.no_grad(), shapes, warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # from Inductor, about PyTorch's own functions
            compiled = inductor(module, inputs, options=OPTIONS | {"post_grad_custom_pre_pass": Cheaper()})
            _check_same(graph, compiled, inputs)
        graph.run = compiled
    except Exception as error:  # the graph runs without the compiler too
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
        warnings.warn(f"Inductor did not compile, and operations run one by one: {reason}", stacklevel=2)
