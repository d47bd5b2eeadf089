"""Finds options that cannot work, before anything is written."""

import copy
import math
from dataclasses import replace

import pyro
import torch

from guides import Guide
from pyro_vae.build import labels_of, likelihood_of, observes_binary, takes_columns
from pyro_vae.columns import Column
from pyro_vae.config import KINDS, Config, class_of
from pyro_vae.data import Binarizer, DataSet
from pyro_vae.data.guess import columns_of
from pyro_vae.data.images import free_memory
from pyro_vae.data.levels import levels_of
from pyro_vae.distributed import Workers
from pyro_vae.distributions import WhereSeen
from pyro_vae.errors import InputError
from pyro_vae.models import Model
from pyro_vae.objectives import Objective, TraceEnum_ELBO
from pyro_vae.observation import observed, spoken
from pyro_vae.seeds import seeded


def bounds_nothing(model: Model, data: DataSet, binarizer: Binarizer) -> bool:
    """Whether a likelihood of zeros and ones sees gray values, for which it is not a density."""
    gray = str(data.train.pixels.dtype) not in ("bool", "torch.bool")  # NumPy's and torch's
    return observes_binary(model) and gray and not binarizer.binary


def check_numbers(config: Config, data: DataSet, device: torch.device, workers: Workers) -> None:
    """Options that do not fit the device, the number of images or each other.

    Raises:
        InputError: says which.
    """
    if config.engine == "cudagraph" and device.type != "cuda":
        raise InputError(f"--engine cudagraph needs a CUDA device, and this run is on {device.type}")
    if workers.size > len(data.train):
        raise InputError(_of(data, f"{workers.size} processes are more than the {len(data.train)} training images"))
    for name in ("eval_samples", "final_samples"):
        _check_memory(name, getattr(config, name), config, data, device)
    if config.patience is not None and config.validation == 0:
        raise InputError(
            _of(data, "--patience watches the validation ELBO, and --validation 0 leaves no validation images")
        )


def _of(data: DataSet, text: str) -> str:
    return spoken(text, observed(data.image_shape))


def _check_memory(name: str, samples: int, config: Config, data: DataSet, device: torch.device) -> None:
    """Refuse samples of z whose images do not fit into memory, before training and not after it."""
    needed = 4 * samples * (2 * math.prod(data.image_shape) + 4 * config.latent_dim)
    free = free_memory(device)
    if needed > free:
        raise InputError(
            f"--{name.replace('_', '-')} {samples} needs {needed / 1e9:,.1f} GB for one"
            f" {observed(data.image_shape)}, and {free / 1e9:,.1f} GB are free: ask for fewer"
        )


def fitting_batch(config: Config, data: DataSet, workers: Workers) -> tuple[Config, list[str]]:
    """Cut a batch that is larger than the data; return the options and a note."""
    most = len(data.train) // workers.size
    if config.batch_size <= most:
        return config, []
    each = f" in each of {workers.size} processes" if workers.size > 1 else ""
    note = f"a batch is cut from {config.batch_size} to {most} images{each}: there are {len(data.train)} to train on"
    return replace(config, batch_size=most), [_of(data, note)]


def classes_without_a_file(config: Config) -> list[str]:
    """Notes on classes that another process cannot import: those of a notebook or a script."""
    found = [class_of(value) for name in KINDS if (value := getattr(config, name)) is not None]
    names = [of.__name__ for of in found if getattr(of, "__module__", "") == "__main__"]
    return [
        f"{name} stands in this script or notebook, so no other process can load the run: put it into a file of its"
        f" own, such as my_module.py, and import it from there"
        for name in names
    ]


def sampled_labels(model: Model, objective: Objective) -> list[str]:
    """A note on hidden labels that are drawn, where the objective could sum over them."""
    if model.labels != "optional" or isinstance(objective, TraceEnum_ELBO):
        return []
    return ["hidden labels are drawn from q(y|x): --objective TraceEnum_ELBO sums over them, without that noise"]


def check_labels(config: Config, data: DataSet) -> None:
    """Check that the data have the labels that the model needs, and that the options fit both.

    Raises:
        InputError: says which.
    """
    name = getattr(class_of(config.model), "__name__", "the model")
    use = labels_of(config)
    if use != "optional" and config.labelled_batch_size != Config.labelled_batch_size:
        raise InputError(f"--labelled-batch-size is for models that see some of the labels, as M2 does, and not {name}")
    if use == "ignored":
        if config.labels is not None:
            raise InputError(f"--labels hides labels from models of labels, and {name} sees none in any case")
        return
    splits = {"training": data.train, "validation": data.validation, "test": data.test}
    for split, images in splits.items():
        if images.labels is None:
            raise InputError(f"{name} is a model of labels, and {data.name} has no labels")
        if use == "required":
            if config.labels is not None:
                raise InputError(f"{name} needs the label of every image, so --labels can hide none: M2 infers them")
            if (images.labels < 0).any():
                raise InputError(f"{name} needs the label of every image, and not all {split} images have one")
    assert data.train.labels is not None
    seen = int((data.train.labels >= 0).sum())
    if not 0 < (seen if config.labels is None else config.labels) <= seen:
        raise InputError(f"--labels must be at least 1 and at most the {seen} training images that have a label")


def columns_for(config: Config, data: DataSet) -> tuple[Column, ...] | None:
    """The columns of a table, where the likelihood is made of them; otherwise None.

    Raises:
        InputError: if the data are no such table, or a column is not fit to learn from.
    """
    if config.program is None and takes_columns(config):
        return columns_of(data, config.columns)
    if config.columns is not None:
        raise InputError("--columns gives likelihoods to the columns of a table, which --likelihood Columns takes")
    return None


def check_missing(config: Config, model: Model, data: DataSet) -> None:
    """Check that missing values are wanted, and that the likelihood leaves them out.

    Raises:
        InputError: says what to do.
    """
    likelihood = likelihood_of(model)
    if data.missing and config.missing == "refuse":
        raise InputError(f"{data.name} has {data.missing:,} missing values, and --missing refuse takes none")
    if likelihood is None or not likelihood.allows_missing:
        if data.missing and not config.takes_missing:
            raise InputError(
                f"{data.name} has {data.missing:,} missing values: --missing allow leaves them out of the likelihood"
            )
        return
    if not isinstance(likelihood(torch.zeros(likelihood.output_shape)), WhereSeen):
        raise InputError(
            f"{type(likelihood).__name__} does not leave out missing values: its forward must end in self.independent"
        )


def check_processes(objective: Objective, workers: Workers) -> None:
    """Check that each process can compute the objective on its own.

    Raises:
        InputError: says why.
    """
    if objective.free_bits and workers.size > 1:
        raise InputError("free bits look at the KL of a whole minibatch, and here no process has it: train with one")


def check_pixels(model: Model, data: DataSet, binarizer: Binarizer) -> None:
    """Check that the pixels are in the range of the likelihood, and on its levels if it has some.

    Raises:
        InputError: names both ranges, or both numbers of levels.
    """
    likelihood = likelihood_of(model)
    wanted = (0.0, 1.0) if binarizer.binary else likelihood.pixel_range if likelihood is not None else None
    if wanted is not None and not wanted[0] <= data.low <= data.high <= wanted[1]:
        found = _of(data, f"pixels from {data.low:g} to {data.high:g}")
        raise InputError(
            f"{data.name} has {found}, and they must lie in [{wanted[0]:g}, {wanted[1]:g}]: scale them, or use"
            " --likelihood Gaussian --likelihood.squash false"
        )
    if likelihood is not None and likelihood.levels is not None and not likelihood.binary:
        own = levels_of(data)
        if (likelihood.levels - 1) % (own - 1):
            found = _of(data, f"pixels on {own:,} levels")
            raise InputError(
                f"{data.name} has {found}, which {likelihood.levels:,} levels do not hold:"
                f" leave out --likelihood.levels, or say {own}"
            )


def try_once(model: Model, guide: Guide, objective: Objective, data: DataSet, binarizer: Binarizer) -> None:
    """One pass over two images with all of Pyro's checks on, to find errors in a user's own guide.

    A copy of model and guide makes the pass, so their state does not change.

    Raises:
        InputError: if the objective does not work with the guide, or the guide does not fit the model.
    """
    x = data.train.batch(slice(0, 2))
    x = binarizer(x, torch.Generator(x.device))
    labels = data.train.labels
    given = {"y": labels[:2]} if model.labels != "ignored" and labels is not None else {}
    model, guide = copy.deepcopy((model, guide))
    with seeded(0), pyro.validation_enabled(True):
        try:
            objective.differentiable_loss(model, guide, x, **given)
        except ValueError as error:
            raise InputError(" ".join(str(error).split())) from error
