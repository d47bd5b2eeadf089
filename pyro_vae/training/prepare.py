"""Everything that a run needs, made once and checked before anything is written."""

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch.optim import Optimizer

from guides import Guide
from pyro_vae.build import binarizer_of, build
from pyro_vae.columns import summary
from pyro_vae.config import Config
from pyro_vae.data import Batches, Binarizer, DataSet, hide_labels
from pyro_vae.defaults import torch_defaults
from pyro_vae.device import choose_device
from pyro_vae.distributed import ALONE, Workers
from pyro_vae.engine.precision import BF16_GAIN, Precision, bf16_gain
from pyro_vae.errors import InputError
from pyro_vae.limits import in_one_line
from pyro_vae.lr_schedules import LrSchedule, lr_schedule
from pyro_vae.models import Model
from pyro_vae.objectives import Objective
from pyro_vae.optim import make_optimizer
from pyro_vae.schedules import BetaSchedule
from pyro_vae.seeds import random_seed
from pyro_vae.trackers import Tracker, tracker_class
from pyro_vae.training.checks import (
    check_labels,
    check_missing,
    check_numbers,
    check_pixels,
    check_processes,
    classes_without_a_file,
    columns_for,
    fitting_batch,
    sampled_labels,
    try_once,
)
from pyro_vae.training.moving_average import MovingAverage

UNITS = "log densities are in the columns' own units; --columns NAME=KIND changes a likelihood"


@dataclass(frozen=True)
class Prepared:
    """The parts of a run, with its first weights, on its device.

    Attributes:
        config: the options, with the likelihood settled.
        device: of training.
        data: the images on the device; labels that the run may not see are hidden.
        model: the Pyro model.
        guide: the Pyro guide.
        objective: the bound that SVI maximises.
        optimizer: of the parameters of both.
        beta: the weight of the KL term over the run.
        lr_factor: the learning rate over the run, as a part of its highest.
        binarizer: from stored images to images for the likelihood.
        workers: the processes that train the run together.
        notes: for the user, before training.
        tracker: is told the run's numbers too; only the main process has one.
        precision: words on the measurement behind it, if the run asked for ``auto``.
        average: of the weights, if the run keeps one.
    """

    config: Config
    device: torch.device
    data: DataSet
    model: Model
    guide: Guide
    objective: Objective
    optimizer: Optimizer
    beta: BetaSchedule
    lr_factor: LrSchedule
    binarizer: Binarizer
    workers: Workers
    notes: tuple[str, ...] = ()
    tracker: Tracker | None = None
    precision: str = ""
    average: MovingAverage | None = None

    @property
    def batches(self) -> Batches:
        """The minibatches of the training images."""
        config = self.config
        with_labels = self.model.labels != "ignored"
        size, labelled_size = config.batch_size, config.labelled_batch_size
        images = self.data.train
        return Batches(images, self.binarizer, size, config.seed, with_labels, labelled_size, self.workers)

    def measured(self) -> AbstractContextManager[None]:
        """In this context the model and the guide have the weights that a run measures and keeps."""
        return nullcontext() if self.average is None else self.average.swapped()

    @property
    def products(self) -> Precision:
        """The precision of a step's products."""
        if self.config.precision == "auto":
            raise ValueError("precision auto is settled before a run is prepared: see measured_precision")
        return self.config.precision

    def course(self, step: int, steps: int) -> tuple[float, float]:
        """Beta and the learning rate at a step out of ``steps`` in the run; the first is step 0."""
        progress = step / max(1, steps - 1)
        return self.beta(progress), self.config.lr * self.lr_factor(progress)


def measured_precision(config: Config, data: DataSet, workers: Workers = ALONE) -> tuple[Precision, str]:
    """bf16 if a product of the run's size is faster in it, else fp32; and words on the measurement."""
    rows = config.batch_size * config.objective().num_particles
    gain = bf16_gain(rows, math.prod(data.image_shape), choose_device(config.device, workers))
    return "bf16" if gain >= BF16_GAIN else "fp32", f"whose products take {1 / gain:.2f} of the time of fp32's here"


@torch_defaults()
def prepare(config: Config, data: DataSet, workers: Workers = ALONE) -> Prepared:
    """Make all parts of a run, and check that they work together.

    Args:
        config: the options, with the likelihood settled.
        data: the images, in memory or on disk.
        workers: the processes that train the run together.

    Raises:
        InputError: one line that says what cannot work.
    """
    device = choose_device(config.device, workers)
    check_numbers(config, data, device, workers)
    check_labels(config, data)
    columns = columns_for(config, data)
    config, notes = fitting_batch(config, data, workers)
    notes += classes_without_a_file(config)
    try:
        model, guide = build(config, data.image_shape, data.mean_image, data.num_classes, len(data.train), columns)
        objective, beta = config.objective(), config.beta()
    except (ValueError, RuntimeError, IndexError, TypeError, MemoryError, OverflowError) as error:
        if (line := in_one_line(error)) is not None:
            raise InputError(line) from error
        if isinstance(error, TypeError | MemoryError | OverflowError):
            raise
        raise InputError(" ".join(str(error).split())) from error
    check_processes(objective, workers)
    notes += sampled_labels(model, objective)
    binarizer = binarizer_of(config, model)
    check_pixels(model, data, binarizer)
    check_missing(config, model, data)
    notes += [] if columns is None else [summary(columns), UNITS]
    try_once(model, guide, objective, data, binarizer)
    data = data.on(device)
    if config.labels is not None:
        data = replace(data, train=hide_labels(data.train, config.labels, random_seed(config.seed, "labels")))
    model.to(device), guide.to(device)
    parameters = [*model.parameters(), *guide.parameters()]
    optimizer = make_optimizer(config.optimizer, parameters, config.lr, config.weight_decay)
    course = beta, lr_schedule(config.lr_schedule)
    parts = model, guide, objective, optimizer, *course, binarizer, workers
    tracker = tracker_class(config.tracker)() if config.tracker is not None and workers.main else None
    average = MovingAverage(model, guide, config.ema_decay) if config.ema_decay else None
    return Prepared(config, device, data, *parts, tuple(notes), tracker, average=average)
