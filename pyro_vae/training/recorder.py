"""The record of a run after every epoch, and at its end."""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor

from pyro_vae.bits import is_discrete
from pyro_vae.build import class_of, likelihood_of
from pyro_vae.columns import FILE, as_csv
from pyro_vae.data import Images
from pyro_vae.errors import InputError
from pyro_vae.files import write_atomic
from pyro_vae.interrupts import guard
from pyro_vae.models.likelihoods.columns import Columns
from pyro_vae.observation import observed
from pyro_vae.origin import remarks_on
from pyro_vae.runs import Run, RunFolder, load
from pyro_vae.terminal import printable
from pyro_vae.trace import TraceRow, trace_digest
from pyro_vae.training.checks import bounds_nothing
from pyro_vae.training.held_out import HeldOut
from pyro_vae.training.log import Log
from pyro_vae.training.prepare import Prepared
from pyro_vae.training.progress import ProgressBar
from pyro_vae.training.state import TrainingState
from pyro_vae.training.tracking import Tracking

#: samples of z in a validation row, over all images. The noise is the same in every epoch. With so many, the noise in
#: the difference of two epochs on the digits has a standard deviation of 0.04 nats per image; with one for each image
#: it is 0.13.
CHOICE = 2500


class Recorder:
    """Keeps the run folder complete and prints progress. In this context the progress bar is shown.

    Args:
        prepared: the run.
        folder: its folder, which exists.
        rows: the trace so far.
        state: of the run.
        quiet: print nothing, make no pictures, write no TensorBoard events; the rest of the folder is the same. All
            processes but the main one are quiet.
    """

    def __init__(
        self,
        prepared: Prepared,
        folder: RunFolder,
        rows: list[TraceRow],
        state: TrainingState,
        quiet: bool,
        origin: dict[str, Any] | None = None,
    ):
        quiet = quiet or not prepared.workers.main
        self.prepared, self.folder, self.origin = prepared, folder, origin or {}
        self.remarks = remarks_on(state.threads, prepared.device)
        self.steps = len(prepared.batches)
        self.engine: str | None = None
        self.tracking: Tracking | None = None
        self.bar = ProgressBar(
            prepared.config.epochs, state.epoch, self.steps, quiet, one=observed(prepared.data.image_shape)
        )
        bits = is_discrete(prepared.model) and not bounds_nothing(prepared.model, prepared.data, prepared.binarizer)
        self.log = Log(folder, rows, prepared.data, prepared.binarizer, quiet, self.bar.say, bits)
        values = prepared.config.epochs * decoded(prepared, measured_splits(prepared).values())
        self.held_out = HeldOut(prepared.model, prepared.guide, prepared.binarizer, values, again=True)

    def __enter__(self) -> Self:
        self.bar.say(self._about())
        name, tracker = self.prepared.config.tracker, self.prepared.tracker
        if name is not None and tracker is not None:
            self.tracking = Tracking(tracker, name, self.folder, self.bar.say)
        likelihood = likelihood_of(self.prepared.model)
        if isinstance(likelihood, Columns) and self.prepared.workers.main:
            write_atomic(self.folder.path / FILE, as_csv(likelihood.columns))
        for note in self.prepared.notes:
            self.bar.say(f"note: {note}")
        self.bar.__enter__()
        for remark in self.remarks:
            self.bar.say(f"note: {remark}")
        self.bar.phase("the first step, which compiles if the run is long")
        if bounds_nothing(self.prepared.model, self.prepared.data, self.prepared.binarizer):
            self.bar.say(
                "note: Bernoulli on gray values is not a density, so the reported ELBO is not a lower bound on log p(x)"
            )
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.__exit__(*exception)

    def _about(self) -> str:
        """The first line of a run: its data, model, guide, device and folder."""
        run, config = self.prepared, self.prepared.config
        shape = "x".join(map(str, run.data.image_shape))
        one = observed(run.data.image_shape)
        what = f"rows of {run.data.image_shape[-1]} columns" if one == "row" else f"{one}s of {shape}"
        whole = len(run.data.train) + len(run.data.validation) + len(run.data.test)
        holes = f" ({run.data.missing:,} values are missing in all {whole:,} {one}s)" if run.data.missing else ""
        data = f"{run.data.name}: {len(run.data.train):,} training {what}{holes}"
        names = f"model {class_of(config.model).__name__}, guide {class_of(config.guide).__name__}"
        names = names if config.program is None else f"program {config.program}"
        machine = f"{run.device}, engine {config.engine}"
        if run.precision or config.precision != "fp32":
            machine += f", precision {config.precision}" + (f" ({run.precision})" if run.precision else "")
        folder = f"run folder {self.folder.path}"
        return f"{data}; {names}, latent_dim {run.model.latent_dim}; {machine}; {folder}"

    def step(self, engine: str) -> None:
        """One more step is done, by this engine."""
        guard.check()
        if self.engine is None:
            self.engine = engine
            if engine != self.prepared.config.engine:
                self.bar.say(f"engine {engine}")
            self.bar.phase("training")
        self.bar.step()

    def after_epoch(self, state: TrainingState, trained: Tensor, spent: tuple[float, float]) -> TrainingState:
        """Write the epoch's rows and the checkpoints, and print a line. Returns the new state.

        The model and the guide have the weights that are to be measured: see :meth:`Prepared.measured`.

        Args:
            state: before the epoch.
            trained: the mean log-likelihood and KL (nats per image) and gradient norm of its steps, ``(3,)``.
            spent: the seconds and the core-seconds that it took.

        Raises:
            InputError: if a held-out ELBO is no longer finite.
        """
        config, model, guide = self.prepared.config, self.prepared.model, self.prepared.guide
        average = self.prepared.average
        state = state.after_epoch(self.steps, *spent)
        self.bar.phase("measuring")
        model.eval(), guide.eval()
        terms = {"train": trained, **self._held_out(state)}
        beta, lr = self.prepared.course(state.step - 1, config.epochs * self.steps)
        tick = time.get_clock_info("perf_counter").resolution  # a clock may stand still
        rate = len(self.prepared.data.train) / max(spent[0], tick)
        for split, (log_likelihood, kl, *norm) in ((split, term.tolist()) for split, term in terms.items()):
            course = (beta, norm[0] if norm else None, lr, state.seconds, rate)
            self.log.add(TraceRow(state.step, state.epoch, split, log_likelihood - kl, log_likelihood, kl, *course))

        log_likelihood, kl = terms["validation"].tolist()
        # A point has no ELBO; its weights are chosen by its training objective.
        chosen_by = log_likelihood - (1.0 if guide.has_density else beta) * kl
        best = chosen_by > state.best_elbo
        state = state.with_best(chosen_by) if best else state
        data = self.prepared.data
        known: dict[str, Any] = {"num_classes": data.num_classes, "classes": data.classes, "stored": data.stored}
        likelihood = likelihood_of(model)
        if isinstance(likelihood, Columns):
            known["columns"] = [column.to_dict() for column in likelihood.columns]
        about = {"image_shape": data.image_shape, **known, "origin": self.origin}
        kept: dict[str, Any] = {**about, "model": model.state_dict(), "guide": guide.state_dict()}
        kept["state"] = state.to_dict()
        if best:
            self.folder.save("best", kept)
        self.bar.phase("writing, and drawing pictures")
        self.log.write(model, guide, state.ends(config.epochs, config.patience))
        if self.tracking is not None:
            self.tracking.rows(self.log.rows[-len(terms) :])
        state = replace(state, trace=trace_digest(self.log.rows[-len(terms) :], state.trace))
        kept["state"] = state.to_dict()
        # Last, so that a run killed before this line repeats the epoch and writes the same.
        if average is not None:
            kept["trained"] = average.weights
        self.folder.save("last", {**kept, "optimizer": self.prepared.optimizer.state_dict()})
        self.bar.epoch(state.epoch, {split: self.log.elbo(split) for split in ("train", "test")}, rate)
        return state

    def _held_out(self, state: TrainingState) -> dict[str, Tensor]:
        terms = {}
        for split, (images, samples) in measured_splits(self.prepared).items():
            found = self.held_out.terms(images, samples)
            terms[split] = torch.stack([found.log_likelihood.mean(), found.kl.mean()])
            if not terms[split].isfinite().all():
                raise diverged(f"the {split} ELBO after step {state.step}", self.folder)
        return terms

    def check_finite(self, record: Tensor, first_step: int) -> None:
        """Find the first step of an epoch whose bound or gradient is no longer finite.

        Args:
            record: log-likelihood, KL and gradient norm of each step, ``(steps, 3)``.
            first_step: the number of earlier steps.

        Raises:
            InputError: names the step and the site.
        """
        bad = ~record.isfinite()
        if not bad.any():
            # No record has the last step's update yet.
            parameters: Sequence[Tensor] = [*self.prepared.model.parameters(), *self.prepared.guide.parameters()]
            if not all(p.isfinite().all() for p in parameters):
                raise diverged(f"the weights after step {first_step + len(record)}", self.folder)
            return
        step = int(bad.any(1).nonzero()[0])
        sites = ("site 'x', log p(x|z)", "site 'z', log q(z|x) - log p(z)", "the gradient")
        site = sites[int(bad[step].nonzero()[0])]
        raise diverged(f"the ELBO at step {first_step + step + 1}, {site}", self.folder)

    def finish(self, state: TrainingState) -> None:
        """The test ELBO and the pictures of the best weights, and the last lines."""
        run = self.prepared
        best = load(self.folder.path, "best", run.device, trust=True)
        samples = run.config.final_samples
        self.bar.phase(f"measuring the best weights, {samples} samples of z")
        values = decoded(run, [(run.data.test, samples)])
        test = HeldOut(best.model, best.guide, run.binarizer, values).terms(run.data.test, samples)
        self.bar.phase("drawing pictures")
        self.log.pictures(best.model, best.guide, True)
        result = self.log.finish(test, samples, state.best_epoch, state.seconds, state.core_seconds)
        if self.tracking is not None:
            self.tracking.finish(result, state.seconds, state.core_seconds)
        self.bar.say(_summary(run, state, result, best))


def measured_splits(run: Prepared) -> dict[str, tuple[Images, int]]:
    """The splits that are measured after each epoch, each with its draws of z for an image."""
    validation, test, samples = run.data.validation, run.data.test, run.config.eval_samples
    return {
        "validation": (validation, max(samples, -(-CHOICE // max(1, len(validation))))),
        "test": (test, samples),
    }


def decoded(run: Prepared, splits: Iterable[tuple[Images, int]]) -> float:
    """The pixels that one measurement decodes; 0 if the run asked for an engine that does not compile."""
    if run.config.engine not in ("auto", "compiled"):
        return 0.0
    return float(sum(len(images) * samples * math.prod(images.image_shape) for images, samples in splits))


def diverged(what: str, folder: RunFolder) -> InputError:
    """The error for numbers that are no longer finite."""
    good = folder.checkpoint("last")
    kept = f"{good} is from before it" if good.exists() else "no epoch was finished before it"
    return InputError(f"no longer finite: {what}; {kept}. A smaller --lr or --clip-norm 1 may help")


def _summary(run: Prepared, state: TrainingState, result: dict[str, Any], best: Run) -> str:
    """The last lines of a run: its quality, its folder, and the next commands."""
    why = " (out of patience)" if state.epoch < run.config.epochs else ""
    name = "ELBO" if best.guide.has_density else "log p(x, z) at the code z, which bounds nothing:"
    folder = best.folder
    bits, one = result.get("bits_per_dimension"), observed(run.model.image_shape)
    words = f"; {bits:.3f} bits per dimension" if bits is not None and best.guide.has_density else ""
    return (
        f"{state.epoch} epochs in {state.seconds:.1f} s of training on {run.device}{why}\n"
        f"test {name} {result['value']:.2f} +- {result['standard_error']:.2f} nats per {one}"
        f" (log-likelihood {result['log_likelihood']:.2f}, KL {result['kl']:.2f};"
        f" {result['samples']} samples of z, {result['images']} {one}s, best weights: epoch {result['epoch']}){words}\n"
        f"run folder: {printable(str(folder.path))}\n"
        f"look at:    {printable(str(folder.figures))}/*.png\n"
        f"next:       python -m pyro_vae.traces {printable(str(folder.path))}\n"
        f"            tensorboard --logdir {printable(str(folder.path.parent))}"
    )
