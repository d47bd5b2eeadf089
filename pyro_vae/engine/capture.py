"""A Pyro step as a graph of tensor operations, with Pyro, autograd and Python gone from it.

``make_fx`` runs the step once, through Pyro's handlers and through autograd, and writes down each ATen operation that
reaches the dispatcher. Three steps: :func:`rehearse` runs the program as it is, :func:`trace` writes it down, and
:class:`~pyro_vae.engine.graph.Graph` runs what was written.
"""

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from pyro_vae.engine.arguments import Arguments, put_together
from pyro_vae.engine.blame import CaptureError, SiteRecorder, refusal
from pyro_vae.engine.numbers import Numbers, placed
from pyro_vae.engine.origins import COPIES, Origins
from pyro_vae.engine.owner import Bound, NotBound
from pyro_vae.engine.program import Pass, Program, leaves
from pyro_vae.engine.static import answered
from pyro_vae.engine.surroundings import Slot, Walk
from pyro_vae.engine.untouched import Changes, untouched


@dataclass
class Call:
    """One call of a program: what is traced, and compared.

    Attributes:
        program: the step's arithmetic.
        roots: the objects that the program consists of, by name.
        args, kwargs: of the step.
        arguments: the same, taken apart; the last of its numbers are those of handlers around the step.
        handlers: the places of these.
    """

    program: Program
    roots: dict[str, Any]
    args: tuple
    kwargs: dict[str, Any]
    arguments: Arguments
    handlers: list[Slot] = field(default_factory=list)


@dataclass
class Rehearsal:
    """What a pass of the program computed, and what it did besides."""

    done: Pass
    sites: list[tuple[str, Tensor]]
    walk: Walk
    changes: Changes


def rehearse(call: Call, validate: bool = True) -> Rehearsal:
    """Run the program eagerly and leave no trace, with the user's validation."""
    origins = Origins(refuse=False)
    with untouched(call.roots, origins) as (walk, changes), SiteRecorder() as recorder, origins:
        done = call.program(call.args, call.kwargs, validate=validate)
    return Rehearsal(done, recorder.sums, walk, changes)


@dataclass
class Traced:
    """A step as it was written down.

    Attributes:
        module: the graph; its inputs are ``constants``, then the numbers, then the tensors of the batch. Its outputs
            are those of the pass, then the sums over the sites.
        constants: the tensors that the program reads besides its batch (parameters, buffers, data it closes over, the
            optimizer's state); they are the program's own, so that a change of theirs is seen by the next run.
        numbers: what is an input as a number.
        used: which of the numbers and of the batch the graph reads.
        layout: how the outputs are a :class:`Pass` again.
        sites: the names of the sites.
        guards: tensors whose values are part of the graph, with their versions.
        bound: the optimizer, where its step is part of the graph.
    """

    module: fx.GraphModule
    constants: list[Tensor]
    numbers: Numbers
    layout: "Layout"
    sites: list[str]
    guards: list[tuple[Tensor, int]]
    bound: Bound | None
    used: list[int] = field(default_factory=list)


class Layout:
    """How a :class:`Pass` is a list of tensors, and the list a pass again."""

    def __init__(self, done: Pass, with_gradients: bool):
        shown = done if with_gradients else done._replace(gradients=(None,) * len(done.gradients))
        leaves, self.spec = pytree.tree_flatten(shown._replace(parameters=()))
        self.parameters = done.parameters
        self.gradients = [gradient is not None for gradient in done.gradients]
        self.held = [None if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        self.is_tensor = [isinstance(leaf, Tensor) for leaf in leaves]
        self.tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        alone = sum(self.is_tensor) == 1  # as in a step with the optimizer in it, of an ELBO without terms
        self._alone = shown._replace(record=None) if alone else None  # type: ignore[arg-type]

    def take(self) -> list[Tensor]:
        """The tensors of the pass, once."""
        tensors, self.tensors = self.tensors, []
        return tensors

    def together(self, outputs: Sequence[Tensor]) -> Pass:
        """The outputs of a graph as a pass."""
        if self._alone is not None:
            return self._alone._replace(record=outputs[0])
        given = iter(outputs)
        leaves = [next(given) if t else held for t, held in zip(self.is_tensor, self.held, strict=True)]
        return pytree.tree_unflatten(leaves, self.spec)._replace(parameters=self.parameters)


def trace(call: Call, walk: Walk, numbers: Numbers, bound: Bound | None) -> Traced:
    """Write a call down; no trace of it is left.

    Raises:
        CaptureError: where the program's operations depend on its data.
    """
    batch = [t.detach() for t in call.arguments.tensors]  # each by itself, or one given twice would be one input
    known = {id(t): t for t in leaves()}
    known |= {id(t): t for m in walk.modules for h in (m._parameters, m._buffers) for t in h.values() if t is not None}
    known |= {id(t): t for t in call.program.parameters or ()}
    if bound is not None:
        known |= {id(t): t for t in (*bound.tensors(), *(e.parameter for e in bound.entries))}
    constants = list(known.values())
    numbers.read(call.arguments.numbers)
    origins = Origins([*_moving(call, constants, bound), *numbers.tensors, *batch])
    recorder = SiteRecorder()
    box: list[Layout] = []

    def step(*inputs: Tensor) -> list[Tensor]:
        scalars = inputs[len(constants) : len(constants) + len(numbers.tensors)]
        given = inputs[len(constants) + len(scalars) :]
        now = numbers.of(call.arguments.numbers, scalars)
        args, kwargs = put_together(call.args, call.kwargs, iter(given), iter(now))
        around = now[len(now) - len(call.handlers) :]
        with origins, answered(), numbers.live(scalars), placed(call.handlers, around), recorder:
            done = call.program(args, kwargs)
        box.append(Layout(done, with_gradients=bound is None))
        if bound is not None:
            with torch.no_grad():
                present = [(p, g) for p, g in zip(done.parameters, done.gradients, strict=True) if g is not None]
                if [id(p) for p, _ in present] != [id(e.parameter) for e in bound.entries]:
                    raise NotBound
                with origins:
                    bound.move([g for _, g in present])
        return [*box[0].take(), *(total for _, total in recorder.sums)]

    # the names under which the pass ran are those of the objects, so that what it changes is told by name
    with untouched(call.roots, origins) as (_, changes), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the program warns of was heard in the first pass
        try:
            # CUDA's backward pass would otherwise run in a thread that has no part in tracing.
            with torch.autograd.set_multithreading_enabled(False):
                module = make_fx(step)(*constants, *numbers.tensors, *batch)
        except (NotBound, KeyboardInterrupt):
            raise
        except Exception as error:
            raise refusal(error, recorder.last) from error
    if changes.reasons:
        raise CaptureError(f"no static graph: {changes.reasons[0]}")
    constants += lift(module, after=len(constants))
    sites = [name for name, _ in recorder.sums]
    guards = [(t, v) for t, v in origins.guards.values()]
    traced = Traced(module, constants, numbers, box[0], sites, guards, bound)
    if any(t.is_cuda for t in constants):
        drop_checks(module)
        stay_on_device(module, origins)
    _drop_unused(traced)
    for node in module.graph.nodes:
        node.meta.clear()  # what was seen while tracing; a compiler fills in its own
    return traced


def _moving(call: Call, constants: Sequence[Tensor], bound: Bound | None) -> list[Tensor]:
    """The constants that a step moves: what depends on them changes from step to step."""
    if call.program.parameters is not None:
        return list(call.program.parameters)
    held = [] if bound is None else bound.tensors()
    return [t for t in constants if t.requires_grad] + held


def _drop_unused(traced: Traced) -> None:
    """Leave out the inputs that the graph does not read."""
    graph = traced.module.graph
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    count = len(traced.constants)
    kept = [tensor for node, tensor in zip(inputs, traced.constants, strict=False) if node.users]
    traced.used = [i - count for i, node in enumerate(inputs) if i >= count and node.users]
    for node in inputs:
        if not node.users:
            graph.erase_node(node)
    traced.constants = kept
    traced.module.recompile()


def without_sites(traced: Traced) -> fx.GraphModule:
    """The graph without the sums over the sites: what a step runs."""
    if not traced.sites:
        return traced.module
    graph = copy.deepcopy(traced.module.graph)
    (output,) = (node for node in graph.nodes if node.op == "output")
    output.args = (output.args[0][: -len(traced.sites)],)
    eliminate(graph)
    return fx.GraphModule(traced.module, graph)


def eliminate(graph: fx.Graph) -> None:
    """Drop what no output depends on; random draws stay, for they move the generator."""

    def stays(node: fx.Node) -> bool:
        return node.is_impure() or torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())

    graph.eliminate_dead_code(stays)


def lift(module: fx.GraphModule, after: int) -> list[Tensor]:
    """Turn the tensors that the graph holds as attributes into inputs, following the first ``after``; returns them.

    A compiler may fold an attribute into its code, and would keep the value at capture.
    """
    graph = module.graph
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    next_input = inputs[after] if after < len(inputs) else next(n for n in graph.nodes if n.op != "placeholder")
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
    eliminate(graph)
    module.recompile()
    return tensors


def drop_checks(module: fx.GraphModule) -> None:
    """Take out the checks of decompositions (a Cholesky's, say), which wait for the device to hear its verdict.

    Where one fails, eager stops at once, and the graph goes on with what the library left.
    """
    for node in list(module.graph.nodes):
        if node.target is torch.ops.aten._linalg_check_errors.default:
            module.graph.erase_node(node)
    module.recompile()


def stay_on_device(module: fx.GraphModule, origins: Origins) -> None:
    """Refuse a graph of CUDA operations that also works on the host, where a CUDA graph would not repeat it.

    A single number of the host's may be an operand, for it goes with the launch, if it is written in the program: any
    other would stay what it was when the graph was recorded. A copy of it to the device waits.
    """
    for node in module.graph.nodes:
        values = [a.meta.get("val") for a in node.all_input_nodes] + [node.meta.get("val")]
        seen = [v for v in values if isinstance(v, Tensor)]
        copies = node.target in COPIES and len({v.device.type for v in seen}) > 1
        if node.op == "call_function" and (copies or any(v.dim() and v.device.type == "cpu" for v in seen)):
            where = origins.transfers[0] if origins.transfers else "an unknown line"
            raise CaptureError(f"no static graph on the device: {where}: {node.target} works on the host")
    if origins.foreign:
        raise CaptureError(
            f"no static graph on the device: {origins.foreign[0]}: the graph would keep the value that a tensor on the "
            "host (a random one, or one from outside the program) has now; put it on the device"
        )
