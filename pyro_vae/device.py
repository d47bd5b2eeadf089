"""From a name to a device."""

from contextlib import AbstractContextManager, nullcontext

import torch

from pyro_vae.distributed import ALONE, Workers
from pyro_vae.errors import InputError


def choose_device(name: str, workers: Workers = ALONE) -> torch.device:
    """The device of this name, for this process; auto is CUDA if there is a GPU.

    Raises:
        InputError: if there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = workers.device(torch.device(name))
        if device.type not in ("cpu", "cuda", "mps"):
            raise RuntimeError(f"training runs on cpu, cuda or mps, not on {device.type}")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {name}: {str(error).splitlines()[0]}; --device cpu works everywhere") from error
    return device


def current(device: torch.device) -> AbstractContextManager:
    """In this context a numbered CUDA device is torch's current one; other devices need nothing."""
    return torch.cuda.device(device) if device.type == "cuda" and device.index is not None else nullcontext()
