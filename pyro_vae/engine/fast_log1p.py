"""In code compiled for a CPU, log1p is computed from log and costs about as much.

PyTorch's own was seen to take seventeen times as long on an AMD processor, in some processes and not in others. A
Bernoulli likelihood takes a log1p for each pixel and a softplus one for each unit: half of their step there.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import fx

aten = torch.ops.aten
map_arg: Any = fx.map_arg  # torch types it for functions that give nodes


def log1p(x: Any) -> Any:
    """log(1 + x) to two units in the last place, also near 0, at -1 and at infinity; of a tensor or a graph's node.

    1 + x is rounded to u; the first-order term of log((1 + x) / u) adds what was lost.
    """
    x = aten.mul.Scalar(x, 1.0)  # whole numbers become float32, as in PyTorch: 255 + 1 is 0 in uint8
    u = aten.add.Scalar(x, 1)
    kept = aten.sub.Scalar(u, 1)
    log = aten.log.default(u)
    lost = aten.div.Tensor(aten.sub.Tensor(x, kept), u)
    return aten.where.self(aten.eq.Tensor(kept, x), log, aten.add.Tensor(log, lost))


def softplus(x: Any, beta: float = 1, threshold: float = 20) -> Any:
    """log(1 + exp(beta x)) / beta, and x where beta x is above the threshold, as in PyTorch."""
    scaled = aten.mul.Scalar(x, beta)
    soft = aten.div.Scalar(log1p(aten.exp.default(scaled)), beta)
    return aten.where.self(aten.gt.Scalar(scaled, threshold), x, soft)


def binary_cross_entropy_with_logits(
    x: Any, target: Any, weight: Any = None, pos_weight: Any = None, reduction: int = 1
) -> Any:
    """max(x, 0) - x target + log(1 + exp(-abs(x))) of each element; other reductions are left to PyTorch."""
    if reduction or weight is not None or pos_weight is not None:
        return None
    small = log1p(aten.exp.default(aten.neg.default(aten.abs.default(x))))
    share = aten.where.self(aten.gt.Scalar(x, 0), aten.rsub.Scalar(target, 1), aten.neg.default(target))
    return aten.add.Tensor(aten.mul.Tensor(x, share), small)


RULES: dict[Any, Callable[..., Any]] = {
    aten.log1p.default: log1p,
    aten.softplus.default: softplus,
    aten.binary_cross_entropy_with_logits.default: binary_cross_entropy_with_logits,
}


def with_fast_log1p(module: fx.GraphModule) -> fx.GraphModule:
    """A copy of the graph in which each operation of :data:`RULES` is replaced."""
    graph = copy.deepcopy(module.graph)
    tracer = fx.proxy.GraphAppendingTracer(graph)
    for node in [node for node in graph.nodes if node.target in RULES]:
        with graph.inserting_before(node):
            args, kwargs = map_arg((node.args, node.kwargs), tracer.proxy)
            found = RULES[node.target](*args, **kwargs)
        if found is not None:
            node.replace_all_uses_with(found.node)
            graph.erase_node(node)
    return fx.GraphModule(module, graph)
