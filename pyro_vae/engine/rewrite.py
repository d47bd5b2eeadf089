"""Graphs rewritten: what they hold as attributes becomes inputs, and what nothing depends on goes."""

import copy

import torch
from torch import Tensor, fx

from pyro_vae.engine.blame import CaptureError
from pyro_vae.engine.origins import COPIES, Origins


def drop_unused(module: fx.GraphModule) -> list[int]:
    """Leave out the inputs that the graph does not read; returns the places of those that it reads."""
    inputs = [node for node in module.graph.nodes if node.op == "placeholder"]
    read = [i for i, node in enumerate(inputs) if node.users]
    for node in inputs:
        if not node.users:
            module.graph.erase_node(node)
    module.recompile()
    return read


def without_last(module: fx.GraphModule, count: int) -> fx.GraphModule:
    """The graph without its last outputs, and without what only they need."""
    if not count:
        return module
    graph = copy.deepcopy(module.graph)
    (output,) = (node for node in graph.nodes if node.op == "output")
    output.args = (output.args[0][:-count],)
    eliminate(graph)
    return fx.GraphModule(module, graph)


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
