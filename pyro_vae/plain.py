"""From NumPy's and PyTorch's numbers to Python's: options from Python are converted once, here. And text of numbers."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import PurePath
from typing import Any

import numpy as np
import torch


def plain(value: Any) -> Any:
    """A value as YAML could express it, at any depth.

    NumPy's scalars and 0-dimensional arrays and tensors become numbers, truth values or text; other arrays and tensors
    become lists; paths become text. Fields of dataclasses are converted. All other objects stay unchanged.

    >>> plain({"latent_dim": np.int64(3), "init_args": {"hidden_dims": np.array([8, 4])}, "lr": torch.tensor(0.5)})
    {'latent_dim': 3, 'init_args': {'hidden_dims': [8, 4]}, 'lr': 0.5}
    """
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist()) if value.dtype.hasobject else value.tolist()
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value, **{field.name: plain(getattr(value, field.name)) for field in fields(value) if field.init}
        )
    if type(value) in (list, tuple):
        return type(value)(map(plain, value))
    return value


def is_number(text: str) -> bool:
    """Whether a text is that of a number.

    >>> is_number("1e-3"), is_number("1.2.3")
    (True, False)
    """
    try:
        float(text)
    except ValueError:
        return False
    return True
