"""PyTorch's defaults of this process: a caller may change them, and no number here depends on them."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from pyro_vae import resident as resident  # for its effect, before anything is computed


@contextmanager
def torch_defaults() -> Iterator[None]:
    """In this context new tensors are float32 and on the CPU, as after importing torch; then the caller's defaults
    return.

    It is also a decorator. The default type belongs to the whole process, so other threads see it meanwhile.

    >>> torch.set_default_dtype(torch.float64)
    >>> with torch_defaults():
    ...     torch.zeros(1).dtype
    torch.float32
    >>> torch.zeros(1).dtype
    torch.float64
    >>> torch.set_default_dtype(torch.float32)
    """
    dtype = torch.get_default_dtype()
    elsewhere = torch.get_default_device().type != "cpu"
    torch.set_default_dtype(torch.float32)
    try:
        with torch.device("cpu") if elsewhere else nullcontext():
            yield
    finally:
        torch.set_default_dtype(dtype)
