"""Changes to a graph: attributes become inputs, and unused operations are removed."""

import copy

import torch
from torch import Tensor, fx

from pyro_vae.engine.blame import CaptureError
from pyro_vae.engine.origins import COPIES, Origins


def drop_unused(module: fx.GraphModule) -> list[int]:
    """Remove the inputs that the graph does not read; returns the places of the others."""
    inputs = [node for node in module.graph.nodes if node.op == "placeholder"]
    read = [i for i, node in enumerate(inputs) if node.users]
    for node in inputs:
        if not node.users:
            module.graph.erase_node(node)
    module.recompile()
    return read


def without_last(module: fx.GraphModule, count: int) -> fx.GraphModule:
    """The graph without its last ``count`` outputs, and without the operations that only they need."""
    if not count:
        return module
    graph = copy.deepcopy(module.graph)
    (output,) = (node for node in graph.nodes if node.op == "output")
    output.args = (output.args[0][:-count],)
    eliminate(graph)
    return fx.GraphModule(module, graph)


def eliminate(graph: fx.Graph) -> None:
    """Remove operations that no output depends on. Random draws stay, because they move the generator."""

    def stays(node: fx.Node) -> bool:
        return node.is_impure() or torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())

    graph.eliminate_dead_code(stays)


def lift(module: fx.GraphModule, after: int) -> list[Tensor]:
    """Turn the tensors that the graph holds as attributes into inputs after the first ``after`` ones; returns them.

    A compiler may fold an attribute into its code, which would then keep the value at capture.
    """
    graph = module.graph
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    next_input = inputs[after] if after < len(inputs) else next(n for n in graph.nodes if n.op != "placeholder")
    attributes = [node for node in graph.nodes if node.op == "get_attr"]
    lifted: dict[str, fx.Node] = {}
    with graph.inserting_before(next_input):  # which may itself be an attribute
        for name in dict.fromkeys(node.target for node in attributes):
            lifted[name] = graph.placeholder(name)
            lifted[name].meta["val"] = getattr(module, name)
    for node in attributes:
        node.replace_all_uses_with(lifted[node.target])
        graph.erase_node(node)
    tensors = [getattr(module, name) for name in lifted]
    for name in lifted:
        delattr(module, name)
    eliminate(graph)
    module.recompile()
    return tensors


def drop_checks(module: fx.GraphModule) -> None:
    """Remove the checks of matrix decompositions (of Cholesky, say), because they wait for the device.

    If a decomposition fails, an eager step raises an error, and the graph continues with the library's result.
    """
    for node in list(module.graph.nodes):
        if node.target is torch.ops.aten._linalg_check_errors.default:
            module.graph.erase_node(node)
    module.recompile()


def stay_on_device(module: fx.GraphModule, origins: Origins) -> None:
    """Refuse a graph of CUDA operations that also works on the host, because a CUDA graph does not repeat that work.

    An operand may be a scalar on the host if the program's text determines it, because the kernel launch carries its
    value. Any other scalar would keep its value at recording. A copy from the host to the device is refused too.

    Raises:
        CaptureError: if an operation works on the host, or reads a changing scalar from it.
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
