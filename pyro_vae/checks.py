"""What cannot work is found before anything is written."""

import pyro
import torch
from torch import Tensor

from guides import Guide
from pyro_vae.build import build, class_of, likelihood_of, sees_binary, takes_labels
from pyro_vae.config import Config
from pyro_vae.data import Binarizer, DataSet
from pyro_vae.distributed import ALONE, Workers
from pyro_vae.errors import InputError
from pyro_vae.models import Model
from pyro_vae.objectives import Objective
from pyro_vae.seeds import seeded


def choose_device(name: str, workers: Workers = ALONE) -> torch.device:
    """The device of this name, of this process where there are several; auto is CUDA where there is one.

    Raises:
        InputError: where there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = workers.device(torch.device(name))
        if device.type not in ("cpu", "cuda", "mps"):
            raise RuntimeError(f"training runs on cpu, cuda or mps, not on {device.type}")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {name}: {str(error).splitlines()[0]}; --device cpu works everywhere") from error
    return device


def bounds_nothing(model: Model, data: DataSet, seen: Binarizer) -> bool:
    """Whether a likelihood of zeros and ones is shown gray values, of which it is no likelihood."""
    likelihood = likelihood_of(model)
    gray = str(data.train.pixels.dtype) not in ("bool", "torch.bool")  # NumPy's and torch's
    return likelihood is not None and likelihood.binary and gray and not seen.binary


def check(config: Config, data: DataSet, workers: Workers = ALONE) -> None:
    """Find what cannot work before anything is written.

    Raises:
        InputError: says what.
    """
    device = choose_device(config.device, workers)
    if config.engine == "cudagraph" and device.type != "cuda":
        raise InputError(f"--engine cudagraph needs a CUDA device, and this run is on {device.type}")
    if config.batch_size * workers.size > len(data.train):
        times = f" in each of {workers.size} processes" if workers.size > 1 else ""
        raise InputError(f"--batch_size {config.batch_size}{times} is more than the {len(data.train)} training images")
    if config.patience is not None and config.validation == 0:
        raise InputError("--patience watches the validation ELBO, and --validation 0 leaves no validation images")
    _check_labels(config, data)
    try:
        model, guide = build(config, data.image_shape, data.mean_image, data.num_classes, len(data.train))
        objective, _ = config.objective(), config.beta()
    except (ValueError, RuntimeError, IndexError) as error:
        raise InputError(" ".join(str(error).split())) from error
    if objective.free_bits and workers.size > 1:
        raise InputError("free bits look at the KL of a whole minibatch, and here no process has it: train with one")
    binary = sees_binary(config, model)
    likelihood = likelihood_of(model)
    wanted = (0.0, 1.0) if binary else likelihood.pixel_range if likelihood is not None else None
    if wanted is not None and not wanted[0] <= data.low <= data.high <= wanted[1]:
        raise InputError(
            f"{data.name} has pixels from {data.low:g} to {data.high:g}, and they must lie in"
            f" [{wanted[0]:g}, {wanted[1]:g}]: scale them, or use --likelihood Gaussian --likelihood.squash false"
        )
    x = data.train.batch(slice(0, 2))
    y = data.train.labels[:2] if model.takes_labels and data.train.labels is not None else None
    try_once(model, guide, objective, Binarizer(binary)(x, torch.Generator(x.device)), y)


def _check_labels(config: Config, data: DataSet) -> None:
    name = getattr(class_of(config.model), "__name__", "the model")
    if not takes_labels(config):
        if config.labels is not None:
            raise InputError(f"--labels hides labels from models of labels, and {name} sees none in any case")
        return
    splits = {"training": data.train, "validation": data.validation, "test": data.test}
    for split, images in splits.items():
        if images.labels is None:
            raise InputError(f"{name} is a model of labels, and {data.name} has no labels")
        if getattr(class_of(config.model), "needs_labels", False):
            if config.labels is not None:
                raise InputError(f"{name} needs the label of every image, so --labels can hide none: M2 infers them")
            if (images.labels < 0).any():
                raise InputError(f"{name} needs the label of every image, and not all {split} images have one")
    assert data.train.labels is not None
    seen = int((data.train.labels >= 0).sum())
    if not 0 < (seen if config.labels is None else config.labels) <= seen:
        raise InputError(f"--labels must be at least 1 and at most the {seen} training images that have a label")


def try_once(model: Model, guide: Guide, objective: Objective, x: Tensor, y: Tensor | None = None) -> None:
    """One pass with all of Pyro's checks on, which finds what is wrong in a user's own guide.

    Raises:
        InputError: where the objective cannot be had with the guide, or the guide does not fit the model.
    """
    with seeded(0), pyro.validation_enabled(True):
        try:
            objective.differentiable_loss(model, guide, x, **({} if y is None else {"y": y}))
        except ValueError as error:
            raise InputError(" ".join(str(error).split())) from error
