"""log1p by log, in compiled code on a CPU: PyTorch's own takes seventeen times as long as its log on some processors.

A Bernoulli likelihood takes a log1p for each pixel and a softplus one for each unit, so it is half of their step there.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

RULES = "log1p-1"  #: names these rules where compiled code is kept: change it with them


def log1p(x: Tensor) -> Tensor:
    """log(1 + x) to two units in the last place, also near 0, at -1 and at infinity.

    1 + x is rounded to u; the first-order term of log((1 + x) / u) adds what was lost.
    """
    if x.dtype != torch.float32 or x.device.type != "cpu":
        return NotImplemented
    u = 1 + x
    kept = u - 1
    return torch.where(kept == x, u.log(), u.log() + (x - kept) / u)


def decompositions() -> dict[Any, Callable[..., Any]]:
    """Inductor's rules for taking operations apart, with this one."""
    from torch._inductor.decomposition import decompositions as table  # a second's import, paid by those who compile

    return {**table, torch.ops.aten.log1p.default: log1p}
