"""Cheaper operations in the code that Inductor makes for the CPU; the same numbers up to rounding.

Softplus, the Bernoulli likelihood, logsigmoid and logaddexp all end in log(1 + exp(x)). For each few elements,
Inductor's code calls a library twice. Here it becomes max(x, 0) + e P(e) with e = exp(-abs(x)), which calls it once: P
is the polynomial of degree 9 that equals log(1 + e) / e at Chebyshev's points of [0, 1]. Its relative error is below
2e-7.

The sum of all elements of a matrix, as in the norm of a gradient, becomes the sum of its rows' sums: Inductor's code
for a sum over everything keeps several levels of partial sums, and its sum along a row is a plain loop.
"""

from typing import Any

import torch
from numpy import log1p
from numpy.polynomial import Chebyshev, Polynomial
from torch import Tensor, fx
from torch._inductor.custom_graph_pass import CustomGraphPass, get_hash_for_files
from torch._inductor.pattern_matcher import (
    MULTIPLE,
    CallFunction,
    KeywordArg,
    Match,
    PatternMatcherPass,
    register_graph_pattern,
)

aten = torch.ops.aten
#: of P, from the constant on
COEFFICIENTS = [
    float(c) for c in Chebyshev.interpolate(lambda e: log1p(e) / e, 9, [0, 1]).convert(kind=Polynomial).coef
]
LARGE_SUM = 1 << 14  #: elements of a matrix
_RULES = PatternMatcherPass(pass_name="pyro_vae_cheaper")


def log1p_exp(x: Tensor) -> Tensor:
    """log(1 + exp(x)) in float32."""
    e = torch.exp(-x.abs())
    p = COEFFICIENTS[-1] * e
    for c in COEFFICIENTS[-2:0:-1]:
        p = (p + c) * e
    return x.relu() + (p + COEFFICIENTS[0]) * e


def total(x: Tensor) -> Tensor:
    """The sum of all elements of a matrix."""
    return x.sum(-1).sum(0)


def _of_float32(match: Match) -> bool:
    x = match.kwargs["x"].meta["val"]
    return x.dtype is torch.float32 and x.device.type == "cpu"


def _of_large_matrix(match: Match) -> bool:
    x, out = match.kwargs["x"].meta["val"], match.output_node().meta["val"]
    large = x.dim() == 2 and x.numel() >= LARGE_SUM and x.is_contiguous()
    return _of_float32(match) and large and out.dim() == 0 and out.dtype is torch.float32


@register_graph_pattern(
    CallFunction(aten.log1p.default, CallFunction(aten.exp.default, KeywordArg("x"), _users=MULTIPLE)),
    extra_check=_of_float32,
    pass_dict=_RULES,
)
def _log1p_exp(match: Match, x: Any) -> None:
    match.replace_by_example(log1p_exp, [x])


@register_graph_pattern(CallFunction(aten.sum.default, KeywordArg("x")), extra_check=_of_large_matrix, pass_dict=_RULES)
@register_graph_pattern(
    CallFunction(aten.sum.dim_IntList, KeywordArg("x"), None), extra_check=_of_large_matrix, pass_dict=_RULES
)
def _total(match: Match, x: Any) -> None:
    match.replace_by_example(total, [x])


class Cheaper(CustomGraphPass):
    """The rules of this file, for Inductor; its cache of compiled code knows them by this file's content."""

    def __call__(self, graph: fx.Graph) -> None:
        _RULES.apply(graph)

    def uuid(self) -> bytes:
        return get_hash_for_files((__file__,))
