"""Images in memory, on a device or on disk, and batches of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
import psutil
import torch
from torch import Tensor

from pyro_vae.data.streaming import CudaLane, prefetched

Pixels = Any  # an array (N, C, H, W): torch.Tensor, numpy.ndarray or numpy.memmap


@dataclass(frozen=True)
class Images:
    """The images of one split.

    Attributes:
        pixels: ``(N, C, H, W)``, a tensor on the training device, or an array that may be on disk.
        divisor: of stored values: 255 for 8 bits.
        labels: ``(N,)``, numbers of classes, or None without labels; -1 is a hidden label.
        rows: the rows of ``pixels`` in this split, in its order; None for all.
        device: of the batches.
        classes: the names of the classes 0, ..., C - 1; None for the numbers up to the largest label.
        names: of the columns of a table, whose rows are images of shape 1, 1, P; None for images.
    """

    pixels: Pixels
    divisor: float = 1.0
    labels: Tensor | None = None
    rows: np.ndarray | None = None
    device: torch.device | str = "cpu"
    classes: tuple[str, ...] | None = None
    names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.pixels) if self.rows is None else len(self.rows)

    @property
    def image_shape(self) -> tuple[int, ...]:
        return tuple(self.pixels.shape[1:])

    def take(self, rows: np.ndarray) -> Self:
        """The images at these rows, as another split."""
        kept = rows if self.rows is None else self.rows[rows]
        return replace(self, rows=kept, labels=None if self.labels is None else self.labels[torch.from_numpy(rows)])

    def with_labels(self, labels: Tensor, classes: Sequence[str]) -> Self:
        """The same with labels ``(N,)`` and the names of their classes."""
        return replace(self, labels=labels, classes=tuple(map(str, classes)))

    def batch(self, index: Tensor | slice) -> Tensor:
        """The images at ``index``, ``(B, C, H, W)`` float32, on the device."""
        if isinstance(self.pixels, Tensor):
            stored = self.pixels[index]
        else:
            if isinstance(index, Tensor):
                index = index.numpy(force=True)  # type: ignore[assignment]
            rows = index if self.rows is None else self.rows[index]
            stored = torch.from_numpy(np.ascontiguousarray(self.pixels[rows])).to(self.device)
        return stored.to(torch.float32) / self.divisor

    def minibatches(self, order: Sequence[Tensor | slice]) -> Iterator[Tensor]:
        """The images at each index in turn, as from :meth:`batch`.

        For a CUDA device, images on the host are fetched while the device works on the batch before. On a CPU a thread
        that fetches ahead gained nothing measurable.
        """
        device = torch.device(self.device)
        if isinstance(self.pixels, Tensor) or device.type != "cuda" or not order:
            return map(self.batch, order)
        rows = np.arange(len(self.pixels)) if self.rows is None else self.rows
        wanted = [rows[i.numpy(force=True) if isinstance(i, Tensor) else i] for i in order]
        dtype = torch.from_numpy(np.empty(0, self.pixels.dtype)).dtype
        lane = CudaLane(device, (max(map(len, wanted)), *self.image_shape), dtype)
        return (stored.to(torch.float32) / self.divisor for stored in prefetched(self.pixels, wanted, lane))

    def chunks(self, size: int) -> Iterator[Tensor]:
        """All the images in order, ``size`` at a time."""
        return self.minibatches([slice(start, start + size) for start in range(0, len(self), size)])

    def seen(self) -> float:
        """The number of values of an image that are not missing (NaN), on average."""
        whole = sum(int((~chunk.isnan()).sum()) for chunk in self.chunks(rows_at_once(self.image_shape, 2**20)))
        return whole / len(self)

    def on(self, device: torch.device) -> Self:
        """The same images with their pixels on the device, or streamed to it if they would fill half of it.

        On a CPU, arrays in memory need no move; only memory-mapped files are streamed.
        """
        size = len(self) * int(np.prod(self.image_shape)) * self.pixels.dtype.itemsize
        labels = None if self.labels is None else self.labels.to(device)
        far = isinstance(self.pixels, np.memmap) or device.type == "cuda"
        if far and size > free_memory(device) / 2:
            pixels = self.pixels.numpy(force=True) if isinstance(self.pixels, Tensor) else self.pixels
            return replace(self, pixels=pixels, labels=labels, device=device)
        stored = self.pixels if self.rows is None else self.pixels[self.rows]
        tensor = stored if isinstance(stored, Tensor) else torch.from_numpy(np.array(stored))
        return replace(self, pixels=tensor.to(device), labels=labels, rows=None, device=device)


def free_memory(device: torch.device) -> int:
    """The bytes that are free on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


class Stored(NamedTuple):
    """How images are stored: NumPy's name of the type, and the divisor that makes pixels of the numbers."""

    dtype: str
    divisor: float


@dataclass(frozen=True)
class DataSet:
    """Three splits and facts about all their images.

    Attributes:
        name: as the user gave it.
        train, validation, test: the splits.
        likelihood: the name of the likelihood that suits the images.
        mean_image: the mean of the training images, ``(C, H, W)``.
        low, high: the smallest and the largest value of a pixel.
        missing: how many values are missing (NaN), in all splits.
        known_as: under which the user's cache remembers what a look through the images found; None for what is cheap.
    """

    name: str
    train: Images
    validation: Images
    test: Images
    likelihood: str
    mean_image: Tensor
    low: float
    high: float
    known_as: str | None = None
    missing: int = 0

    @property
    def image_shape(self) -> tuple[int, ...]:
        return self.train.image_shape

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the labels 0, ..., C - 1; None if a split has no labels."""
        labels = [split.labels for split in (self.train, self.validation, self.test)]
        if any(y is None for y in labels):
            return None
        if self.train.classes is not None:
            return self.train.classes
        return tuple(map(str, range(1 + max(int(y.max()) for y in labels if y is not None))))

    @property
    def num_classes(self) -> int | None:
        """The number of classes; None if a split has no labels."""
        return None if self.classes is None else len(self.classes)

    @property
    def stored(self) -> Stored:
        """How the training images are stored."""
        return Stored(str(self.train.pixels.dtype).removeprefix("torch."), self.train.divisor)

    def on(self, device: torch.device) -> Self:
        """The same with its pixels on the device."""
        return replace(
            self, train=self.train.on(device), validation=self.validation.on(device), test=self.test.on(device)
        )


def rows_at_once(image_shape: tuple[int, ...], values: int = 2**24) -> int:
    """The number of images that fit into 64 MiB in float32."""
    return max(1, values // int(np.prod(image_shape)))


def binarize(x: Tensor, generator: torch.Generator, missing: bool = False) -> Tensor:
    """A fresh Bernoulli draw of each pixel, 1 with its gray value in [0, 1] as the probability.

    One random word of 64 bits serves four pixels as thresholds of 16 bits, which costs a tenth of ``torch.bernoulli``
    and is off by at most 2^-16 in the probability. Gray values 0 and 1 are certain.

    Args:
        x: gray values.
        generator: of the draw.
        missing: whether NaN may occur, and stays NaN; other pixels are the same either way.

    >>> draws = binarize(torch.full((100_000,), 0.25), torch.Generator().manual_seed(0))
    >>> abs(draws.mean().item() - 0.25) < 0.01
    True
    """
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device)
    words.random_(-(2**63), None, generator=generator)
    thresholds = words.view(torch.int16)[: x.numel()].view(x.shape)
    # threshold < 2^16 x - 2^15, on one new array; that expression, with integers beside floats, takes four times as
    # long
    drawn = thresholds.to(x.dtype).add_(x, alpha=-(2**16)).lt_(-(2**15))
    return torch.where(x.isnan(), x, drawn) if missing else drawn


def narrow(drawn: Tensor) -> Tensor:
    """Zeros and ones as truth values, a byte each; in half precision where some are missing, for NaN is no such value.

    >>> narrow(torch.tensor([0.0, 1.0])), narrow(torch.tensor([0.0, float("nan")]))
    (tensor([False,  True]), tensor([0., nan], dtype=torch.float16))
    """
    return drawn.to(torch.float16 if drawn.isnan().any() else torch.bool)


@dataclass(frozen=True)
class Binarizer:
    """Turns stored gray images into images for the likelihood.

    Attributes:
        binary: whether each call binarises them by a fresh draw, or leaves them gray.
        missing: whether NaN is a missing pixel, which stays one.
    """

    binary: bool
    missing: bool = False

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return binarize(x, generator, self.missing) if self.binary else x

    def held_out(self, images: Images, size: int, seed: int = 0) -> Iterator[Tensor]:
        """All images in order, ``size`` at a time, with one binarisation that is the same for every run.

        Images differ far more than guides do, so guides are compared on the same zeros and ones. The draw is always
        made for 100 images at a time, so it does not depend on ``size``.
        """
        generator = torch.Generator(images.device).manual_seed(seed)
        waiting: list[Tensor] = []
        for chunk in images.chunks(100):
            waiting.append(self(chunk, generator))
            if sum(map(len, waiting)) >= size:
                joined = torch.cat(waiting)
                yield joined[:size]
                waiting = [joined[size:]]
                while len(waiting[0]) >= size:
                    yield waiting[0][:size]
                    waiting = [waiting[0][size:]]
        rest = torch.cat(waiting)
        if len(rest):
            yield rest
