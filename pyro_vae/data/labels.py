"""Labels as numbers 0, ..., C - 1; with few labels: which images keep theirs, and how each step gets some of them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pyro_vae.data.images import Images
from pyro_vae.errors import InputError


def numbered(labels: Sequence[np.ndarray], name: str) -> tuple[list[Tensor], tuple[str, ...]]:
    """Labels of several splits as the numbers of their classes, and the names of the classes in this order.

    Classes are the labels that occur, in ascending order: text, or any whole numbers. A label of -1 stays -1, because
    it is unknown.

    Args:
        labels: for each split the labels ``(N,)``.
        name: of the labels in an error.

    Raises:
        InputError: if labels are neither whole numbers nor text, or are below -1.

    >>> numbered([np.array([3, -1, 7]), np.array([7])], "x")
    ([tensor([ 0, -1,  1]), tensor([1])], ('3', '7'))
    """
    for array in labels:
        if array.dtype.kind not in "iubU":
            raise InputError(f"{name} holds labels {array.dtype}; needed is a whole number or a text for each image")
        if array.dtype.kind == "i" and array.size and array.min() < -1:
            raise InputError(f"{name} holds the label {array.min()}; below 0 there is only -1, a label not known")
    if len({array.dtype.kind == "U" for array in labels}) > 1:
        raise InputError(f"{name} holds labels that are text in one split and numbers in another")
    # An unsigned label of 64 bits may be too large for a signed type, so no common type is taken.
    known = sorted({label for array in labels for label in array.tolist()} - {-1})
    order = {label: number for number, label in enumerate(known)} | {-1: -1}
    mapped = [torch.tensor([order[label] for label in array.tolist()], dtype=torch.int64) for array in labels]
    return mapped, tuple(str(int(label) if isinstance(label, bool) else label) for label in known)


def few(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Rows of ``count`` labels, as evenly over the classes as possible."""
    order = np.random.default_rng(seed).permutation(len(labels))
    ranks = np.empty(len(labels), dtype=int)  # the number of earlier ones of its class, in this order
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        ranks[of_class] = np.arange(len(of_class))
    return order[np.argsort(ranks[order], kind="stable")][:count]


def hide_labels(images: Images, count: int, seed: int) -> Images:
    """The same images: ``count`` of them keep their label, the other labels become -1.

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
    """Minibatches of row numbers, each followed by ``count`` rows with a label; each labelled row occurs equally often.

    Otherwise, if one image in 550 has a label, a minibatch of 100 images would seldom hold one.
    """
    rows = (labels >= 0).nonzero()[:, 0]
    wanted = count * len(minibatches)
    rounds = [torch.randperm(len(rows), generator=generator) for _ in range(-(-wanted // len(rows)))]
    joined = rows[torch.cat(rounds)[:wanted].to(rows.device)].split(count)
    return [torch.cat(pair) for pair in zip(minibatches, joined, strict=True)]
