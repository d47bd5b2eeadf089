"""The moving average of the weights. A run measures and keeps this average."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from guides import Guide
from pyro_vae.errors import InputError
from pyro_vae.models import Model
from pyro_vae.saved_state import require_finite


class MovingAverage:
    """The exponential moving average of the weights of a model and a guide; after Polyak & Juditsky 1992.

    After step t, average <- d average + (1 - d) weights, where d = min(decay, t / (t + 9)): the average reaches back
    over the last ninth of the run at first, and later over 1 / (1 - decay) steps. Buffers, such as the statistics of
    BatchNorm, have no average: they are those of the last step. In place of
    ``torch.optim.swa_utils.AveragedModel``: that one copies the modules, and a Pyro program can hold modules where no
    copy finds them; and it would wait for a CUDA device at every step.

    Args:
        model, guide: they are trained.
        decay: d, at least 0 and below 1.

    Attributes:
        weights: the average by the parameter's name; while :meth:`swapped`, the weights that are trained.
        steps: how many weights are in the average.
    """

    def __init__(self, model: Model, guide: Guide, decay: float):
        parts = {"model": model, "guide": guide}
        all_named = ((f"{part}.{name}", p) for part, of in parts.items() for name, p in of.named_parameters())
        named = dict({id(p): (name, p) for name, p in all_named}.values())  # each once: both parts may hold it
        self.decay, self.steps = decay, 0
        self._parameters = {name: p.detach() for name, p in named.items()}
        self.weights = {name: p.clone() for name, p in self._parameters.items()}

    def update(self) -> None:
        """Take the weights after one more step in."""
        self.steps += 1
        kept = min(self.decay, self.steps / (self.steps + 9))
        torch._foreach_lerp_(list(self.weights.values()), list(self._parameters.values()), 1 - kept)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """In this context the model and the guide have the average of the weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, parameter in self._parameters.items():
            other = parameter.clone()
            parameter.copy_(self.weights[name])
            self.weights[name].copy_(other)

    def restore(self, trained: dict[str, Tensor], steps: int, source: Path) -> None:
        """Take the average from the model and the guide, and give them the weights that are trained.

        Args:
            trained: ``weights`` as they were while :meth:`swapped`.
            steps: how many weights are in the average.
            source: the file that they are from.

        Raises:
            InputError: if they are other weights, or not finite.
        """
        shapes = {name: p.shape for name, p in self._parameters.items()}
        if shapes != {name: p.shape for name, p in trained.items()}:
            raise InputError(f"{source} lacks the weights on which a run with --ema-decay trains")
        require_finite(trained, source)
        for name, weight in trained.items():
            self.weights[name].copy_(weight)
        self._swap()
        self.steps = steps
