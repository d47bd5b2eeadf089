"""A Pyro step as a graph of tensor operations, with Pyro, autograd and Python gone from it.

``make_fx`` runs the step once, through Pyro's handlers and through autograd, and writes down each ATen operation that
reaches the dispatcher. What it needs for that is a step that never reads a number back from a tensor, which is what
:func:`pyro_vae.engine.program.resident` sees to, and a program whose operations are the same at every step.
"""

import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyro
import torch
import torch.utils._pytree as pytree
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from pyro_vae.engine.program import Pass, Program
from pyro_vae.errors import InputError
from pyro_vae.seeds import forked

_LIBRARIES = [str(Path(m.__file__ or "").parent) for m in (torch, pyro)] + [str(Path(__file__).parent)]
_COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
_LITERALS = (torch.ops.aten.lift_fresh.default, torch.ops.aten.lift_fresh_copy.default)  # what torch.tensor(2.0) makes


class CaptureError(InputError, RuntimeError):
    """The program has no static graph. The message names the line of the user's code at fault, and the reason."""


def _blame(stack: traceback.StackSummary) -> str:
    """The innermost line of a stack outside torch, Pyro and this folder."""
    frames = [f for f in stack if not f.filename.startswith("<")]
    own = [f for f in frames if not any(f.filename.startswith(library) for library in _LIBRARIES)]
    if not frames:
        return "an unknown line"
    frame = (own or frames)[-1]
    return f'{frame.filename}:{frame.lineno}, in {frame.name}: "{frame.line}"'


class _Watch(TorchDispatchMode):
    """Refuses operations whose result's shape depends on the data: a graph would repeat the first batch's shape.

    Attributes:
        transfers: the lines that move tensors from one kind of device to another.
        foreign: the lines where a tensor on the host that is random, or comes from outside the program, meets a device.
    """

    def __init__(self) -> None:
        super().__init__()
        self.transfers: list[str] = []
        self.foreign: list[str] = []
        self._written = WeakTensorKeyDictionary()  # tensors on the host that are the same at every step

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # indexing is among them for the sake of masks; by integers its shape is that of the index
        indices = args[1] if func is torch.ops.aten.index.Tensor else None
        if torch.Tag.dynamic_output_shape in func.tags and (
            indices is None or any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in indices)
        ):
            raise RuntimeError(f"the shape that {func} gives depends on the data")
        result = func(*args, **(kwargs or {}))
        if func in _COPIES:
            source = args[1] if func is torch.ops.aten.copy_.default else args[0]
            if source.device.type != result.device.type:
                self.transfers.append(_blame(traceback.extract_stack()))
        if isinstance(result, Tensor):
            given = [t for t in pytree.tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
            written = func in _LITERALS or all(t in self._written for t in given if t.device.type == "cpu")
            if result.device.type != "cpu" and not written:
                self.foreign.append(_blame(traceback.extract_stack()))
            if result.device.type == "cpu" and written and torch.Tag.nondeterministic_seeded not in func.tags:
                self._written[result] = True
        return result


@contextmanager
def rehearsal(program: Program) -> Iterator[None]:
    """What runs within it leaves no trace: random-number state, buffers and the ELBO's terms are put back."""
    modules = [m for m in (program.model, program.guide) if isinstance(m, nn.Module)]
    kept = [(b, b.detach().clone()) for m in modules for b in m.buffers()]
    gradients = [p.grad for p in program.parameters]
    terms = getattr(program.elbo, "terms", None)
    with forked():
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, value in kept:
                    buffer.copy_(value)
            for parameter, gradient in zip(program.parameters, gradients, strict=True):
                parameter.grad = gradient
            if hasattr(program.elbo, "terms"):
                program.elbo.terms = terms


class Graph:
    """One captured step, for batches of the shapes that it was captured with.

    Attributes:
        module: the graph. Its inputs are ``constants``, then the KL weight, then the tensors of the batch.
        constants: the tensors that the program reads besides its batch (parameters, buffers, data it closes over);
            they are the program's own, so that a change of theirs is seen by the next run.
        run: what runs: the graph itself, operation by operation, or what a compiler made of it.

    Raises:
        CaptureError: where the program's operations depend on its data.
    """

    def __init__(self, program: Program, args: tuple, kwargs: dict[str, Any]):
        leaves, spec = pytree.tree_flatten((args, kwargs))
        # each by itself, or one tensor given twice would be one input
        batch = [leaf.detach() for leaf in leaves if isinstance(leaf, Tensor)]
        modules = [m for m in (program.model, program.guide) if isinstance(m, nn.Module)]
        known = {id(p): p for p in program.parameters}
        known |= {id(t): t for m in modules for t in (*m.parameters(), *m.buffers())}
        self.program = program
        self.constants = list(known.values())
        self.weight = torch.ones((), device=(self.constants or batch)[0].device)

        watch = _Watch()

        def step(*inputs: Tensor) -> list[Tensor]:
            given = iter(inputs[len(known) + 1 :])
            new_args, new_kwargs = pytree.tree_unflatten(
                [next(given) if isinstance(leaf, Tensor) else leaf for leaf in leaves], spec
            )
            with watch, _kl_weight(program, inputs[len(known)]):
                done = program(*new_args, **new_kwargs)
            terms, self._spec = pytree.tree_flatten(done.terms)
            self._is_tensor = [isinstance(term, Tensor) for term in terms]
            self._has_gradient = [gradient is not None for gradient in done.gradients]
            return [t for t in (done.record, *terms, *done.gradients) if isinstance(t, Tensor)]

        with rehearsal(program):
            first = program(*args, validate=True, **kwargs).record
        try:
            with rehearsal(program):
                second = program(*args, **kwargs).record
            with rehearsal(program), warnings.catch_warnings(), torch.autograd.set_multithreading_enabled(False):
                # CUDA's backward pass would otherwise run in a thread that has no part in tracing.
                warnings.simplefilter("ignore")  # what the program warns of was heard in the first pass
                self.module = make_fx(step)(*self.constants, self.read_weight(), *batch)
        except Exception as error:
            raise CaptureError(
                f"no static graph: {_blame(traceback.extract_tb(error.__traceback__))}: {str(error).splitlines()[0]}"
            ) from error
        # the last, the gradient's norm, less strictly, for on CUDA some convolutions sum in no fixed order
        parts = (slice(None, -1), 1e-5), (slice(-1, None), 1e-3)
        if not all(torch.allclose(first[part], second[part], rtol=rtol, equal_nan=True) for part, rtol in parts):
            raise CaptureError(
                "no static graph: two passes on one batch with one seed gave different losses "
                f"({first[0]:.6g} and {second[0]:.6g}); the program keeps state between passes, or draws from another "
                "generator than torch's"
            )
        self.constants += _lift(self.module, after=len(self.constants))
        if self.weight.is_cuda:
            _drop_checks(self.module)
            _stay_on_device(self.module, watch)
        for node in self.module.graph.nodes:
            node.meta.clear()  # what was seen while tracing; a compiler fills in its own
        self.run: Callable[..., Sequence[Tensor]] = self.module

    def read_weight(self) -> Tensor:
        """Put the objective's KL weight of now into the graph's tensor of it."""
        weight = getattr(self.program.elbo, "kl_weight", 1.0)
        return self.weight.copy_(weight) if isinstance(weight, Tensor) else self.weight.fill_(weight)

    def inputs(self, batch: Sequence[Tensor]) -> list[Tensor]:
        """What :attr:`run` takes."""
        return [*self.constants, self.weight, *batch]

    def unflatten(self, outputs: Sequence[Tensor]) -> Pass:
        """What :attr:`run` gives, as the program's own result."""
        record, *rest = outputs
        given = iter(rest)
        terms = pytree.tree_unflatten([next(given) if t else None for t in self._is_tensor], self._spec)
        return Pass(record, terms, tuple(next(given) if there else None for there in self._has_gradient))

    def __call__(self, batch: Sequence[Tensor]) -> Pass:
        """One pass on the tensors of a batch, with the KL weight that was read last."""
        with torch.no_grad():
            return self.unflatten(self.run(*self.inputs(batch)))


@contextmanager
def _kl_weight(program: Program, live: Tensor) -> Iterator[None]:
    """The objective's KL weight as a tensor, so that the graph reads it at each step."""
    if not hasattr(program.elbo, "kl_weight"):
        yield
        return
    old = program.elbo.kl_weight
    program.elbo.kl_weight = live
    try:
        yield
    finally:
        program.elbo.kl_weight = old


def _lift(module: fx.GraphModule, after: int) -> list[Tensor]:
    """Turn the tensors that the graph holds as attributes into inputs, following the first ``after``; returns them.

    A compiler may fold an attribute into its code, and would go on with the value of the day of capture.
    """
    graph = module.graph
    next_input = [node for node in graph.nodes if node.op == "placeholder"][after]
    lifted: dict[str, fx.Node] = {}
    for node in list(graph.nodes):
        if node.op == "get_attr":
            if node.target not in lifted:
                with graph.inserting_before(next_input):
                    lifted[node.target] = graph.placeholder(node.target)
                lifted[node.target].meta["val"] = getattr(module, node.target)
            node.replace_all_uses_with(lifted[node.target])
            graph.erase_node(node)
    tensors = [getattr(module, name) for name in lifted]
    for name in lifted:
        delattr(module, name)
    graph.eliminate_dead_code()
    module.recompile()
    return tensors


def _drop_checks(module: fx.GraphModule) -> None:
    """Take out the checks of decompositions (a Cholesky's, say), which wait for the device to hear its verdict.

    Where one fails, eager stops at once, and the graph goes on with what the library left.
    """
    for node in list(module.graph.nodes):
        if node.target is torch.ops.aten._linalg_check_errors.default:
            module.graph.erase_node(node)
    module.recompile()


def _stay_on_device(module: fx.GraphModule, watch: _Watch) -> None:
    """Refuse a graph of CUDA operations that also works on the host, where a CUDA graph would not repeat it.

    A single number of the host's may be an operand, for it goes with the launch, if it is written in the program: any
    other would stay what it was when the graph was recorded. A copy of it to the device waits.
    """
    for node in module.graph.nodes:
        values = [a.meta.get("val") for a in node.all_input_nodes] + [node.meta.get("val")]
        seen = [v for v in values if isinstance(v, Tensor)]
        copies = node.target in _COPIES and len({v.device.type for v in seen}) > 1
        if node.op == "call_function" and (copies or any(v.dim() and v.device.type == "cpu" for v in seen)):
            where = watch.transfers[0] if watch.transfers else "an unknown line"
            raise CaptureError(f"no static graph on the device: {where}: {node.target} works on the host")
    if watch.foreign:
        raise CaptureError(
            f"no static graph on the device: {watch.foreign[0]}: the graph would keep the value that a tensor on the "
            "host (a random one, or one from outside the program) has now; put it on the device"
        )
