"""Measures applied to one run, each made once and kept."""

import time
from typing import Any, Protocol

from torch import Tensor

from pyro_vae.errors import InputError
from pyro_vae.estimators import NotDefined
from pyro_vae.estimators.importance import LIMIT
from pyro_vae.estimators.latent import THRESHOLD
from pyro_vae.estimators.sampling import require_unlabelled
from pyro_vae.evaluate.ledger import Entry, Finding, Ledger, joined
from pyro_vae.evaluate.measures import MEASURES, SIMULATED, Measure, Task
from pyro_vae.evaluate.options import Options
from pyro_vae.runs import Run
from pyro_vae.seeds import batch_seed

#: pieces are so many times larger on a GPU, where kernel launches dominate small batches
PIECES_ON_CUDA = 20


class Watch(Protocol):
    """Receives progress."""

    def going(self, source: str, name: str, done: float, total: int) -> None:
        """So many images of so many are measured."""

    def done(self, source: str, name: str, entry: Entry, images: int) -> None:
        """A measure is finished."""


class Bench:
    """One run and the images of one source, to be measured.

    Args:
        source: where the images come from: "test", "train", "simulated" or "against NAME".
        x: the images.
        context: what all the measures' settings hold: data, weights and seed.
        watch: told of the progress.
    """

    def __init__(
        self,
        run: Run,
        ledger: Ledger,
        options: Options,
        source: str,
        x: Tensor,
        context: dict[str, Any],
        watch: Watch,
    ):
        self.run, self.ledger, self.options, self.source = run, ledger, options, source
        self.x, self.context, self.watch = x, context, watch
        self.table: dict[str, Measure] = SIMULATED if source == "simulated" else MEASURES

    def _count(self, name: str) -> int:
        wanted = self.table[name].images(self.options)
        return len(self.x) if wanted is None else min(wanted, len(self.x))

    def settings(self, name: str) -> dict[str, Any]:
        """All that the figures of a measure depend on."""
        measure = self.table[name]
        needs = {need: self.table[need].settings(self.options) for need in measure.needs}
        return {**self.context, "images": self._count(name), **measure.settings(self.options), **needs}

    def measure(self, name: str) -> Entry:
        """The entry of a measure, from ``metrics.json`` or made now."""
        settings = self.settings(name)
        known = self.ledger.entry(self.source, name, settings)
        return known or self._make(name, settings)

    def per_image(self, name: str, figure: str) -> Tensor | None:
        """A figure of each image; None where it is not defined."""
        if self.measure(name).not_defined is not None:
            return None
        settings = self.settings(name)
        pieces, _ = self.ledger.begun(self.source, name, settings)
        if sum(piece.figures[figure].images for piece in pieces) < self._count(name):
            self._make(name, settings)  # metrics.json has come without the file of the single images
            pieces, _ = self.ledger.begun(self.source, name, settings)
        return joined(pieces).figures[figure].per_image

    def _make(self, name: str, settings: dict[str, Any]) -> Entry:
        measure, count = self.table[name], self._count(name)
        # some seconds' work, after which it is kept
        size = (measure.piece or count) * (PIECES_ON_CUDA if self.x.is_cuda else 1)
        pieces, seconds = self.ledger.begun(self.source, name, settings)
        try:
            require_unlabelled(self.run.model)
            # a run that was measured on one device and goes on on another has pieces of both sizes
            known = sum(next(iter(p.figures.values())).images for p in pieces) if measure.piece else len(pieces) * count
            for start in range(known, count, size):
                began = time.monotonic()
                self.watch.going(self.source, name, start, count)
                task = self._task(name, start, min(start + size, count))
                pieces.append(measure.work(task))
                seconds += time.monotonic() - began
                self.ledger.keep(self.source, name, settings, pieces, seconds)
            found = joined(pieces)
            entry = Entry(settings, round(seconds, 1), found.figures, None)
            self._draw(name, found)
        except NotDefined as reason:
            entry = Entry(settings, round(seconds, 1), {}, str(reason))
        except ValueError as error:
            raise InputError(f"{self.run.folder.path}: {name} on {self.source} images: {error}") from error
        self.ledger.finish(self.source, name, entry)
        self.watch.done(self.source, name, entry, count)
        return entry

    def _task(self, name: str, start: int, end: int) -> Task:
        def progress(done: int, total: int) -> None:
            self.watch.going(self.source, name, start + (end - start) * done / max(total, 1), self._count(name))

        def earlier(measure: str, figure: str) -> Tensor | None:
            found = self.per_image(measure, figure)
            return None if found is None else found[start:end]

        seed = batch_seed(self.options.seed, start) % 2**31
        return Task(self.run, self.x[start:end], self.options, seed, progress, earlier)

    def _draw(self, name: str, found: Finding) -> None:
        from pyro_vae.evaluate import pictures
        from pyro_vae.pictures import save_figure

        if name == "calibration":
            ranks = found.arrays["ranks"].numpy()
            picture, figure = "calibration", pictures.calibration_picture(ranks, found.figures[name].samples)
        elif name == "importance" and self.source == "test":
            estimate = found.figures["k_hat"]
            assert estimate.per_image is not None
            picture, figure = "k_hat", pictures.k_hat_picture(estimate.per_image.numpy(), LIMIT)
        elif name == "units":
            picture, figure = "active_units", pictures.units_picture(found.arrays["activity"].numpy(), THRESHOLD)
        else:
            return
        save_figure(self.run.folder, picture, figure)
