"""Constants that PyTorch's vectorised log1p and expm1 hardly ever read, held in memory: both are then far faster.

With AVX-512, both end with a masked load: the result where x is -0. Until something reads the page of that constant, it
is not in the process's memory. Each load then faults, and the processor suppresses the fault, for no element asks for
the value: 10 to 20 ns an element instead of half a one, on an AMD processor. A Bernoulli likelihood takes a log1p for
each pixel, softplus one for each unit, and ELU an expm1.
"""

import os

import torch


def touch() -> None:
    """Read the constants."""
    for dtype in (torch.float32, torch.float64):
        x = torch.tensor([-0.0, 0.0, -1.0, torch.inf], dtype=dtype, device="cpu").repeat(16)  # two vectors and more
        x.log1p()
        x.expm1()


touch()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=touch)  # a child begins without the pages
