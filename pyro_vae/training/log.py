"""The files of a run beside its checkpoints: the trace, metrics, pictures and TensorBoard's events."""

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from warnings import warn

from guides import Guide
from pyro_vae.bits import bits_per_dimension
from pyro_vae.data import Binarizer, DataSet
from pyro_vae.drawing import Drawing
from pyro_vae.models import Model
from pyro_vae.objectives import ElboTerms
from pyro_vae.observation import observed
from pyro_vae.runs import RunFolder
from pyro_vae.terminal import printable
from pyro_vae.trace import TraceRow

if TYPE_CHECKING:
    from pyro_vae.events import Events

PICTURE_SECONDS = 1.5  #: the time that a run's pictures take, until it has drawn some


class Log:
    """Writes the files of a run, each whole, after every epoch.

    Args:
        folder: the run folder.
        rows: the trace so far.
        data: the pictures show its test images.
        binarizer: from stored images to images for the likelihood.
        quiet: leave pictures and TensorBoard's events out.
        say: takes a line for the user.
        bits: whether the test ELBO is given in bits per dimension too.
    """

    def __init__(
        self,
        folder: RunFolder,
        rows: list[TraceRow],
        data: DataSet,
        binarizer: Binarizer,
        quiet: bool = False,
        say: Callable[[str], None] = warn,
        bits: bool = False,
    ):
        self.folder, self.rows, self.data, self.binarizer = folder, rows, data, binarizer
        self.bits = bits
        self.new: list[TraceRow] = []  # not yet in trace.csv
        self.appends = False
        self.drawing = Drawing(say)
        self.picture_cost, self.pictured = PICTURE_SECONDS, time.monotonic()
        self.events = None if quiet else _events(folder, rows)

    def add(self, row: TraceRow) -> None:
        """One more row of the trace."""
        self.rows.append(row)
        self.new.append(row)
        if self.events is not None:
            self.events.add(row)

    def elbo(self, split: str) -> float:
        """The last ELBO of this split, nats per image."""
        return next(row.elbo for row in reversed(self.rows) if row.split == split)

    def write(self, model: Model, guide: Guide, last: bool = False) -> None:
        """Write everything after an epoch; pictures if they take less than a fortieth of the time since the last ones.

        Args:
            last: this was the last epoch, after which the best weights are drawn.
        """
        if self.appends:
            self.folder.append_trace(self.new)
        else:  # the rows after the last checkpoint, which a killed run left, go
            self.folder.write_trace(self.rows)
            self.appends = True
        self.folder.update_metrics(finished=False, last={row.split: row._asdict() for row in self.new})
        self.new = []
        if self.events is not None:
            self.events.flush()
        if not last and time.monotonic() - self.pictured > 40 * self.picture_cost:
            self.pictures(model, guide)

    def pictures(self, model: Model, guide: Guide, last: bool = False) -> None:
        """Draw all pictures of the run and of the trace; none if the log is quiet.

        Args:
            last: these are the last ones of the run.
        """
        if self.events is None:
            return
        from pyro_vae.pictures import draw, save_figure
        from pyro_vae.plots import reworded
        from pyro_vae.traces import trace_figure

        began = time.monotonic()
        with self.drawing:
            draw(model, guide, self.data, self.binarizer, self.folder)
        with self.drawing:
            figure = trace_figure({printable(self.folder.path.name): self.rows}, "epochs")
            save_figure(self.folder, "trace", reworded(figure, observed(self.data.image_shape)))
        with self.drawing:
            self.events.pictures(self.folder.figures, self.rows[-1].step, last)
        self.pictured = time.monotonic()
        self.picture_cost = self.pictured - began

    def finish(self, test: ElboTerms, samples: int, epoch: int, seconds: float, core_seconds: float) -> dict[str, Any]:
        """Write the test ELBO of the best weights, from its terms for each image, and return it as written.

        ``seconds`` is the time of training, ``core_seconds`` its processor time over all threads.
        """
        elbo = (test.log_likelihood - test.kl).double()
        result: dict[str, Any] = {
            "value": elbo.mean().item(),
            "standard_error": elbo.std().item() / math.sqrt(len(elbo)) if len(elbo) > 1 else math.nan,
            "log_likelihood": test.log_likelihood.double().mean().item(),
            "kl": test.kl.double().mean().item(),
            "estimator": "Trace_ELBO",
            "samples": samples,
            "images": len(elbo),
            "binarised": self.binarizer.binary,
            "checkpoint": "best",
            "epoch": epoch,
        }
        values = self.data.test.seen() if self.bits and self.data.missing else math.prod(self.data.image_shape)
        if self.bits and values:
            result["bits_per_dimension"] = bits_per_dimension(result["value"], values)
        self.folder.update_metrics(finished=True, seconds=seconds, core_seconds=core_seconds, test_elbo=result)
        if self.events is not None:
            self.events.finish(result["value"], self.rows[-1].step)
        return result


def _events(folder: RunFolder, rows: list[TraceRow]) -> "Events":
    from pyro_vae.events import Events  # import TensorBoard only if its events are written

    return Events(folder.path, folder.config_text(), rows[-1].step if rows else None)
