"""What an encoder sees of the row of a table: numbers around zero."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pyro_vae.columns import Column
from pyro_vae.nn import Seen


class TableInputs(Seen):
    """Rows for an encoder: standardised, a level as a one-hot vector, 0 for what is missing, and the mask, if told.

    LogNormal columns are standardised after the logarithm.

    Args:
        columns: of the table, P.
        mask: whether to add the mask, 1 where a value is seen.

    Shapes: ``(..., 1, 1, P)`` to ``(..., *output_shape)``, which is ``(1, 1, F)``.
    """

    def __init__(self, columns: Sequence[Column], mask: bool):
        count = len(columns)
        super().__init__((1, 1, count), mask)
        numbers = [i for i, one in enumerate(columns) if not one.levels]
        pairs = [(i, level) for i, one in enumerate(columns) for level in one.levels]
        buffers = {
            "numbers": torch.tensor(numbers, dtype=torch.int64),
            "is_log": torch.tensor([columns[i].kind == "LogNormal" for i in numbers], dtype=torch.bool),
            "centre": torch.tensor([columns[i].centre for i in numbers]),
            "scale": torch.tensor([columns[i].scale for i in numbers]),
            "of_level": torch.tensor([i for i, _ in pairs], dtype=torch.int64),
            "level": torch.tensor([level for _, level in pairs]),
        }
        for name, values in buffers.items():
            self.register_buffer(name, values, persistent=False)
        self.output_shape = (1, 1, len(numbers) + len(pairs) + (count if mask else 0))

    numbers: Tensor
    is_log: Tensor
    centre: Tensor
    scale: Tensor
    of_level: Tensor
    level: Tensor

    def forward(self, x: Tensor) -> Tensor:
        found = x[..., self.numbers]
        found = torch.where(self.is_log, torch.where(self.is_log, found, 1.0).log(), found)
        numbers = (found - self.centre) / self.scale
        one_hot = (x[..., self.of_level] == self.level).to(x.dtype)  # NaN is no level
        parts = [torch.where(numbers.isnan(), 0.0, numbers), one_hot]
        return torch.cat([*parts, (~x.isnan()).to(x.dtype)] if self.mask else parts, -1)
