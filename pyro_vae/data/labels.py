"""Few labels: which images keep theirs, and how these are met at every step."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pyro_vae.data.images import Images


def few(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Rows of ``count`` labels, as equally many of each class as can be."""
    order = np.random.default_rng(seed).permutation(len(labels))
    ranks = np.empty(len(labels), dtype=int)  # how many of its class came before, in this order
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        ranks[of_class] = np.arange(len(of_class))
    return order[np.argsort(ranks[order], kind="stable")][:count]


def hide_labels(images: Images, count: int, seed: int) -> Images:
    """The same images, of which ``count`` keep their label; those of the others become -1.

    >>> images = Images(np.zeros((40, 1, 2, 2)), labels=torch.arange(40) % 4)
    >>> hide_labels(images, 8, seed=0).labels.unique(return_counts=True)
    (tensor([-1,  0,  1,  2,  3]), tensor([32,  2,  2,  2,  2]))
    """
    assert images.labels is not None
    seen = (images.labels >= 0).nonzero()[:, 0].cpu()
    kept = seen[torch.from_numpy(few(images.labels[seen].numpy(force=True), count, seed))].to(images.labels.device)
    hidden = torch.full_like(images.labels, -1)
    hidden[kept] = images.labels[kept]
    return replace(images, labels=hidden)


def join_labelled(
    minibatches: Sequence[Tensor], labels: Tensor, count: int, generator: torch.Generator
) -> list[Tensor]:
    """Minibatches of row numbers, each followed by ``count`` rows with a label, all of which come equally often.

    Without this, a minibatch of 100 images of which one in 550 is labelled would seldom hold a label.
    """
    rows = (labels >= 0).nonzero()[:, 0]
    wanted = count * len(minibatches)
    rounds = [torch.randperm(len(rows), generator=generator) for _ in range(-(-wanted // len(rows)))]
    joined = rows[torch.cat(rounds)[:wanted].to(rows.device)].split(count)
    return [torch.cat(pair) for pair in zip(minibatches, joined, strict=True)]
