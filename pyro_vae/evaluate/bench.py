"""The metrics of one run, each measured once and kept."""

import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Protocol

from torch import Tensor

from pyro_vae.drawing import Drawing
from pyro_vae.errors import InputError
from pyro_vae.estimators import NotDefined
from pyro_vae.estimators.sampling import require_unlabelled
from pyro_vae.evaluate.ledger import Entry, Ledger, joined
from pyro_vae.metrics import Finding, Metric, Options, Task
from pyro_vae.metrics.contract import faults_found
from pyro_vae.observation import observed
from pyro_vae.runs import Run
from pyro_vae.seeds import batch_seed

#: pieces are so many times larger on a GPU, where kernel launches dominate small batches
PIECES_ON_CUDA = 100


class Watch(Protocol):
    """Receives progress."""

    def going(self, source: str, name: str, done: float, total: int) -> None:
        """So much of so much is measured: images, or what the metric counts."""

    def done(self, source: str, name: str, entry: Entry, images: int) -> None:
        """A metric is measured."""


class Bench:
    """One run and the images of one source, to be measured.

    Args:
        table: every metric by name, with its options.
        options: how metrics are estimated.
        source: where the images come from: "test", "train", "simulated" or "against NAME".
        x: the images, ``(N, *image_shape)``.
        context: what the settings of all metrics hold: data, weights and seed.
        watch: receives the progress.
    """

    def __init__(
        self,
        run: Run,
        ledger: Ledger,
        table: Mapping[str, Metric],
        options: Options,
        source: str,
        x: Tensor,
        context: dict[str, Any],
        watch: Watch,
    ):
        self.run, self.ledger, self.table, self.options, self.source = run, ledger, table, options, source
        self.x, self.context, self.watch = x, context, watch

    def _count(self, name: str) -> int:
        wanted = self.table[name].images(self.options)
        return len(self.x) if wanted is None else min(wanted, len(self.x))

    @cached_property
    def _seen(self) -> Tensor:
        """How many values of each image are not missing, ``(N,)``; a row of a Pyro program may be one number."""
        return (~self.x.isnan()).reshape(len(self.x), -1).sum(1)

    def settings(self, name: str) -> dict[str, Any]:
        """All that the estimates of a metric depend on."""
        metric = self.table[name]
        needs = {need: self.table[need].settings(self.options) for need in metric.needs}
        return {**self.context, "images": self._count(name), **metric.settings(self.options), **needs}

    def measure(self, name: str) -> Entry:
        """The entry of a metric, from ``metrics.json`` or measured now."""
        settings = self.settings(name)
        known = self.ledger.entry(self.source, name, settings)
        return known or self._make(name, settings)

    def per_image(self, name: str, estimate: str) -> Tensor | None:
        """An estimate of each image, ``(N,)``; None where it is not defined."""
        if self.measure(name).not_defined is not None:
            return None
        settings = self.settings(name)
        found = self.ledger.per_image(self.source, name, settings, estimate)
        if found is None or len(found) < self._count(name):
            self._make(name, settings)  # metrics.json has come without the file of the single images
            found = self.ledger.per_image(self.source, name, settings, estimate)
        return found

    def _make(self, name: str, settings: dict[str, Any]) -> Entry:
        metric, count = self.table[name], self._count(name)
        # some seconds' work, after which it is kept
        size = (metric.piece or count) * (PIECES_ON_CUDA if self.x.is_cuda else 1)
        pieces, seconds = self.ledger.begun(self.source, name, settings)
        try:
            require_unlabelled(self.run.model)
            # a run that was measured on one device and goes on on another has pieces of both sizes
            known = (
                sum(next(iter(p.estimates.values())).images for p in pieces) if metric.piece else len(pieces) * count
            )
            for start in range(known, count, size):
                began = time.monotonic()
                self.watch.going(self.source, name, start, count)
                pieces.append(self._measured(name, start, min(start + size, count)))
                seconds += time.monotonic() - began
                self.ledger.keep(self.source, name, settings, pieces, seconds)
            found = joined(pieces)
            entry = Entry(settings, round(seconds, 1), found.estimates, None)
            self._draw(metric, found)
        except NotDefined as reason:
            entry = Entry(settings, round(seconds, 1), {}, str(reason))
        except ValueError as error:
            raise InputError(f"{self.run.folder.path}: {name} on {self.source} images: {error}") from error
        self.ledger.finish(self.source, name, entry)
        self.watch.done(self.source, name, entry, count)
        return entry

    def _measured(self, name: str, start: int, end: int) -> Finding:
        metric, x = self.table[name], self.x[start:end]

        def progress(done: int, total: int) -> None:
            self.watch.going(self.source, name, start + (end - start) * done / max(total, 1), self._count(name))

        def earlier(needed: str, estimate: str) -> Tensor:
            found = self.per_image(needed, estimate)
            if found is None:
                raise NotDefined(f"it builds on {needed}, which is not defined here")
            return found[start:end]

        seed = batch_seed(self.options.seed, start) % 2**31
        seen = self._seen[: self._count(name)].sum().item() / self._count(name)
        found = metric.measure(Task(self.run, x, self.options, seed, progress, earlier, seen))
        if wrong := faults_found(metric, found, len(x)):
            raise ValueError(wrong)
        return found

    @Drawing()
    def _draw(self, metric: Metric, found: Finding) -> None:
        if metric.picture_name and self.source in ("test", "simulated") and (figure := metric.picture(found)):
            from pyro_vae.pictures import save_figure
            from pyro_vae.plots import reworded

            save_figure(self.run.folder, metric.picture_name, reworded(figure, observed(self.run.model.image_shape)))
