"""The base of every row of :mod:`benchmarks.speed`: a way of taking the same steps on the same images.

All train the same story: z ~ N(0, I) of 50 dimensions, 784 pixels from Bernoulli logits, softplus layers of 400 units,
Adam at 1e-3. Each row is made in its own process.
"""

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SHAPE, LATENT, HIDDEN = (1, 28, 28), 50, 400
LAST = 10  #: a row's loss is the mean over the last so many steps


@dataclass(frozen=True)
class Case:
    """The guide, the data, the batch and the device of a case."""

    guide: str = "MeanField"
    batch_size: int = 256
    particles: int = 1
    device: str = "cpu"

    def __str__(self) -> str:
        return f"{self.guide}/{self.batch_size}/{self.particles}"


def gray_images(count: int) -> tuple[Tensor, str]:
    """Gray images ``(count, 1, 28, 28)`` and their source."""
    if root := os.environ.get("PYRO_VAE_DATA"):
        from pyro_vae.data import load_data

        return load_data("mnist", Path(root)).train.batch(slice(0, count)).cpu(), "MNIST"
    generator = torch.Generator().manual_seed(0)
    strokes = torch.rand(20, 1, 7, 7, generator=generator)
    templates = F.interpolate(strokes, SHAPE[1:], mode="bicubic").clamp(0, 1) ** 4
    return templates[torch.randint(20, (count,), generator=generator)], "synthetic images"


class Row(ABC):
    """One way of taking steps on gray images ``(M, 1, 28, 28)`` in [0, 1], M a multiple of the batch size."""

    guides: tuple[str, ...] = ("MeanField",)  #: the guides that it supports
    many = False  #: whether it supports several particles
    needs: str | None = None  #: the package behind it

    def __init__(self, case: Case, gray: Tensor):
        torch.manual_seed(0)
        self.case = case
        self.batches = gray.bernoulli().to(case.device).split(case.batch_size)
        self.count = 0

    @classmethod
    def suits(cls, case: Case) -> bool:
        """Whether this row is in the table of a case."""
        return (
            case.guide in cls.guides
            and (cls.many or case.particles == 1)
            and (cls.needs is None or find_spec(cls.needs) is not None)
        )

    @abstractmethod
    def step(self, x: Tensor) -> Any:
        """One step on binary images; returns the loss, summed or averaged as :meth:`per_image` knows."""

    def per_image(self, loss: Any) -> float:
        """Minus the bound, nats per image."""
        return float(loss)

    def run(self, steps: int) -> float:
        """So many steps; returns the mean loss of the last :data:`LAST`, nats per image."""
        losses = []
        for _ in range(steps):
            loss = self.step(self.batches[self.count % len(self.batches)])
            losses = [*losses[1 - LAST :], loss]
            self.count += 1
        if self.case.device == "cuda":
            torch.cuda.synchronize()
        return sum(map(self.per_image, losses)) / len(losses)


def networks(case: Case) -> tuple[nn.Module, nn.Module]:
    """The model and the guide of this project."""
    from guides import GUIDES, MLPEncoder
    from pyro_vae.models import VAE, Bernoulli, MLPDecoder, StandardNormal

    decoder = MLPDecoder(LATENT, SHAPE, [HIDDEN], "softplus")
    model = VAE(decoder, Bernoulli(SHAPE), StandardNormal(LATENT))
    guide = GUIDES[case.guide](MLPEncoder(SHAPE, [HIDDEN], "softplus"), LATENT)
    return model.to(case.device), guide.to(case.device)
