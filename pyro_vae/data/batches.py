"""The minibatches of an epoch: their order, binarisation and labels, and this process's part of each."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pyro_vae.data.images import Binarizer, Images
from pyro_vae.data.labels import join_labelled
from pyro_vae.distributed import ALONE, Workers
from pyro_vae.seeds import random_seed


class Batch(NamedTuple):
    """One step's images, with their labels and weight."""

    x: Tensor  #: images for the likelihood, ``(N, *image_shape)``
    y: Tensor | None = None  #: labels ``(N,)``, -1 for a hidden one; None unless the model takes labels
    share: float = 1.0  #: the fraction of these in the step's images over all processes


@dataclass(frozen=True)
class Batches:
    """Minibatches of the training images, a function of only the seed and the epoch.

    Attributes:
        images: the training images.
        binarizer: from stored images to images for the likelihood.
        batch_size: the images of a step in each process.
        seed: the run's seed.
        with_labels: whether batches carry labels.
        labelled_batch_size: labelled images for each minibatch, if labels are hidden.
        workers: the processes that share each step.
    """

    images: Images
    binarizer: Binarizer
    batch_size: int
    seed: int
    with_labels: bool = False
    labelled_batch_size: int = 0
    workers: Workers = ALONE

    def __len__(self) -> int:
        """The number of steps in an epoch."""
        return math.ceil(len(self.images) / self.step_size)

    @property
    def step_size(self) -> int:
        """Images in a step, over all processes."""
        return self.batch_size * self.workers.size

    @property
    def device(self) -> torch.device:
        return torch.device(self.images.device)

    def mean(self, record: Tensor) -> Tensor:
        """The mean over images of the steps' reports, ``(steps, F) -> (F,)``."""
        count = len(self.images)
        sizes = torch.tensor([len(part) for part in torch.arange(count).split(self.step_size)])
        return (sizes.to(record.device) / count) @ record

    def of_epoch(self, epoch: int) -> Iterator[Batch]:
        """The minibatches of an epoch, in a random order, binarised afresh."""
        coin = torch.Generator(self.device)
        coin.manual_seed(random_seed(self.seed, "binarize", epoch, self.workers.rank))
        shuffle = torch.Generator().manual_seed(random_seed(self.seed, "order", epoch))
        order = torch.randperm(len(self.images), generator=shuffle).to(self.device)
        minibatches: Sequence[Tensor] = order.split(self.step_size)
        labels = self.images.labels if self.with_labels else None
        if labels is not None and (labels < 0).any():
            count = self.labelled_batch_size * self.workers.size
            minibatches = join_labelled(minibatches, labels, count, shuffle)
        parts = [self.workers.part(minibatch) for minibatch in minibatches]
        fetched = self.images.minibatches([own for own, _ in parts])
        for x, (own, share) in zip(fetched, parts, strict=True):
            yield Batch(self.binarizer(x, coin), None if labels is None else labels[own], share)
