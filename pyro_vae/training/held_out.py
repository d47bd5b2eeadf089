"""The ELBO of held-out images."""

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from guides import Guide
from pyro_vae.data import Binarizer, Images, rows_at_once
from pyro_vae.data.images import narrow
from pyro_vae.engine.measured import Measured
from pyro_vae.models import Model
from pyro_vae.objectives import ElboTerms
from pyro_vae.seeds import seeded

AT_ONCE = 20_000  #: images times draws of z for which random numbers are drawn together
PIECE = 2**21  #: decoded values in one piece on a CPU; they fit its cache
REPAYS = 3e8  #: decoded values, over a whole run, whose measurement repays its compilation
KEPT = 2**27  #: pixels of a split of binary images that are kept for the next call


class HeldOut:
    """Measures the ELBO of held-out images, again and again.

    The binarisation and the noise are the same at every call, whatever the run's seed. On a CPU the draws are decoded
    in pieces. A guide that draws z at once draws the same z as without pieces.

    Args:
        model, guide: their weights may change between the calls.
        binarizer: from stored images to images for the likelihood.
        values: the pixels to decode over all calls; with many on a CPU, the pass is captured and compiled.
        again: whether the same images come again, so that binary ones are kept.
    """

    def __init__(self, model: Model, guide: Guide, binarizer: Binarizer, values: float = 0.0, again: bool = False):
        self.model, self.guide, self.binarizer, self.again = model, guide, binarizer, again
        self.compiles = values >= REPAYS
        self._measured: dict[int, Measured] = {}
        self._kept: dict[int, tuple[Images, list[Tensor]]] = {}

    def terms(self, images: Images, num_samples: int) -> ElboTerms:
        """The ELBO's terms for each image, ``(N,)`` each in nats, the mean over ``num_samples`` draws of z."""
        shape, on_cpu = images.image_shape, torch.device(images.device).type == "cpu"
        rows = rows_at_once(shape, PIECE) if on_cpu else rows_at_once(shape)
        size = min(len(images), max(1, min(AT_ONCE, rows_at_once(shape)) // num_samples))
        if num_samples == 1:
            size = min(size, _chunk(len(images), rows, self.model.latent_dim))
        piece = _divisor(num_samples, max(1, rows // size))
        with seeded(0):
            parts = [self._of(x, y, num_samples, piece, size) for x, y in self._chunks(images, size)]
        return ElboTerms(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def _chunks(self, images: Images, size: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        labels, start = images.labels, 0
        for x in self._binarised(images, size):
            with_label = self.model.labels == "required" and labels is not None
            yield x, labels[start : start + len(x)] if with_label and labels is not None else None
            start += len(x)

    def _binarised(self, images: Images, size: int) -> Iterable[Tensor]:
        """The images as the likelihood sees them; binary ones that come again are kept, in one or two bytes a pixel."""
        if id(images) in self._kept:
            return (x.to(torch.float32) for x in self._kept[id(images)][1])
        chunks = self.binarizer.held_out(images, size)
        if not (self.again and self.binarizer.binary and len(images) * math.prod(images.image_shape) <= KEPT):
            return chunks
        self._kept[id(images)] = images, [narrow(x) for x in chunks]
        return self._binarised(images, size)

    def _of(self, x: Tensor, y: Tensor | None, num_samples: int, piece: int, size: int) -> ElboTerms:
        """The terms of a chunk of images, the mean over all draws."""
        total: list[Tensor] = []
        for start in range(0, num_samples, piece):
            count = min(piece, num_samples - start)
            if count not in self._measured:
                compiled = self.compiles and x.device.type == "cpu"
                self._measured[count] = Measured(self.model, self.guide, count, compiled)
            odd = count != piece or len(x) != size
            terms = [term * (count / num_samples) for term in self._measured[count](x, y, eagerly=odd)]
            total = [a + b for a, b in zip(total, terms, strict=True)] if total else terms
        return ElboTerms(*total)


def _chunk(count: int, most: int, latent_dim: int) -> int:
    """The images in a chunk: at most ``most``, and so many that the chunks' normal draws equal those of one chunk.

    PyTorch draws normal numbers 16 at a time. Chunks of one length, if they exist, need one graph.
    """
    sizes = [size for size in range(min(most, count), most // 4, -1) if size * latent_dim % 16 == 0]
    even = [size for size in sizes if count % size == 0]
    return count if count <= most else (even or sizes or [16 * max(1, most // 16)])[0]


def _divisor(samples: int, most: int) -> int:
    """The largest divisor of ``samples`` between half of ``most`` and ``most``; ``most`` itself if there is none."""
    most = min(samples, most)
    return next((count for count in range(most, most // 2, -1) if samples % count == 0), most)


def held_out_terms(model: Model, guide: Guide, images: Images, binarizer: Binarizer, num_samples: int) -> ElboTerms:
    """The ELBO's terms for each held-out image, ``(N,)`` each in nats, measured once: see :class:`HeldOut`."""
    return HeldOut(model, guide, binarizer).terms(images, num_samples)
