"""What a run leaves beside its checkpoints: the trace, metrics, pictures and TensorBoard's events."""

import math
import time
from typing import Any

from guides import Guide
from pyro_vae.data import Binarizer, DataSet
from pyro_vae.models import Model
from pyro_vae.objectives import ElboTerms
from pyro_vae.runs import RunFolder
from pyro_vae.terminal import printable
from pyro_vae.trace import TraceRow


class Log:
    """Writes what a run leaves, each file whole, after every epoch.

    Args:
        folder: the run folder.
        rows: the trace so far.
        data: whose test images the pictures show.
        seen: what the likelihood sees of them.
        quiet: leave pictures and TensorBoard's events out.
    """

    def __init__(self, folder: RunFolder, rows: list[TraceRow], data: DataSet, seen: Binarizer, quiet: bool = False):
        self.folder, self.rows, self.data, self.seen = folder, rows, data, seen
        self.picture_cost, self.pictured = 0.0, -math.inf
        self.events = None
        if not quiet:
            from torch.utils.tensorboard import SummaryWriter

            # What a killed run wrote after its last checkpoint is told to be dropped.
            self.events = SummaryWriter(str(folder.path), purge_step=rows[-1].step + 1 if rows else None)
            if not rows:
                self.events.add_text("config", f"```yaml\n{folder.config_text()}\n```")

    def add(self, row: TraceRow) -> None:
        """One more row of the trace."""
        self.rows.append(row)
        if self.events is None:
            return
        for name in ("elbo", "log_likelihood", "kl", "beta", "lr", "grad_norm"):
            value = getattr(row, name)
            if value is not None:
                self.events.add_scalar(f"{name}/{row.split}", value, row.step)

    def elbo(self, split: str) -> float:
        """The last ELBO of this split, nats per image."""
        return next(row.elbo for row in reversed(self.rows) if row.split == split)

    def write(self, model: Model, guide: Guide) -> None:
        """Write everything after an epoch; pictures only where they take less than a tenth of the time."""
        self.folder.write_trace(self.rows)
        last = [row for row in self.rows if row.epoch == self.rows[-1].epoch]
        self.folder.update_metrics(finished=False, last={row.split: row._asdict() for row in last})
        if time.monotonic() - self.pictured > 10 * self.picture_cost:
            self.pictures(model, guide)

    def pictures(self, model: Model, guide: Guide) -> None:
        """Draw all pictures of the run, the trace with them; none where the log is quiet."""
        if self.events is None:
            return
        from pyro_vae.pictures import draw, save_figure
        from pyro_vae.traces import trace_figure

        began = time.monotonic()
        draw(model, guide, self.data, self.seen, self.folder)
        save_figure(self.folder, "trace", trace_figure({printable(self.folder.path.name): self.rows}, "epochs"))
        self.events.flush()
        self.pictured = time.monotonic()
        self.picture_cost = self.pictured - began

    def finish(self, test: ElboTerms, samples: int, epoch: int, seconds: float, core_seconds: float) -> dict[str, Any]:
        """Write the test ELBO of the best weights, from its terms for each image, and return it as written.

        ``seconds`` is the time that training took, ``core_seconds`` the processor's time of it, over all threads.
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
            "binarised": self.seen.binary,
            "checkpoint": "best",
            "epoch": epoch,
        }
        self.folder.update_metrics(finished=True, seconds=seconds, core_seconds=core_seconds, test_elbo=result)
        if self.events is not None:
            self.events.add_scalar("test_elbo", result["value"], self.rows[-1].step)
            self.events.close()
        return result
