"""The options of a run: one dataclass, whose types make the flags of the command (:mod:`pyro_vae.options`)."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyro_vae.models as models
from guides import Encoder, Guide, MLPEncoder
from guides.mean_field import MeanField
from pyro_vae.columns import given_kinds
from pyro_vae.data.image_size import Size, parse_size
from pyro_vae.data.layout import Layout
from pyro_vae.engine import EngineName
from pyro_vae.engine.precision import AskedPrecision
from pyro_vae.errors import InputError
from pyro_vae.lr_schedules import lr_schedule
from pyro_vae.models import Decoder, Likelihood, Model, Prior
from pyro_vae.objectives import Objective, Trace_ELBO
from pyro_vae.optim import OptimizerName
from pyro_vae.schedules import BetaSchedule, Constant
from pyro_vae.trackers import tracker_class

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Config:
    """The options of a run.

    Args:
        data: the name of a data set, or the path of a .npy, .npz or .csv file or of a folder of images.
        data_root: the folder of downloaded data sets; by default the environment variable PYRO_VAE_DATA, then a folder
            in the user's cache.
        validation: the number of validation images that stay out of training; by default all of them. 0 trains on all
            of them.
        layout: of an array file with four axes. N x C x H x W is channels_first, N x H x W x C channels_last; auto
            reads it from the shape.
        image_size: H or HxW, to which the images of a folder are resized. Without it they must be of one size.
        binarize: whether gray images become zeros and ones. dynamic draws them afresh at every step, none leaves
            images gray; auto is dynamic for a binary likelihood.
        columns: likelihoods of columns of a table, as NAME=KIND,NAME=KIND; those of the others are guessed. Kinds are
            Gaussian, StudentT, LogNormal, Bernoulli, Categorical, Poisson and NegativeBinomial.
        missing: whether NaN is a missing value, which does not enter the likelihood. auto takes it so in tables, and as
            an error in images; allow takes it so in images too, and the encoder sees zeros; mask also shows the encoder
            which values are missing; refuse takes none.
        labels: the number of training images whose label a model of labels sees, evenly over the classes, drawn for
            each seed; by default all of them.
        labelled_batch_size: labelled images for each minibatch, if labels are hidden.
        program: MODULE:NAME of your own Pyro pair of model and guide; called without arguments, it gives (model, guide)
            or an object with both methods, in the place of model, decoder, likelihood, prior, encoder and guide.
        model: the generative story.
        decoder: the network from z to the likelihood's parameters.
        likelihood: p(x|z); by default it suits the data.
        prior: p(z).
        encoder: the network from images to the guide's features.
        guide: q(z|x), the approximate posterior.
        objective: what SVI maximises.
        beta: how the weight of the KL term changes over the run.
        latent_dim: the number of latent dimensions.
        epochs: passes over the training images.
        batch_size: images in a step, for each process. K processes of torchrun with B images equal one with K x B.
        optimizer: the torch optimizer, one for all parameters.
        lr: the peak learning rate.
        lr_schedule: the course of the learning rate over the run. stages is Burda et al. 2015: eight stages of 1, 3, 9,
            ... parts, from lr down to a tenth of it. Another package declares its own (:mod:`pyro_vae.lr_schedules`).
        weight_decay: the optimizer's. AEVB's prior N(0, I) on the weights is 1 / (number of training images).
        clip_norm: gradients are scaled down to this norm.
        ema_decay: a moving average of the weights is measured and kept. It is exponential: step t keeps this part of
            it, or t / (t + 9) of it where that is less. 0: no average. Training rows are of the weights under training.
        patience: stop if the validation ELBO has not risen for so many epochs.
        eval_samples: samples of z for each image in the test and validation rows of the trace. Validation rows choose
            the best weights, so with few validation images they take more: 2,500 samples in all.
        final_samples: samples of z for each image in the test ELBO of metrics.json.
        seed: determines all random numbers of the run.
        device: auto takes CUDA if there is a GPU.
        engine: how a step runs; the numbers are the same up to float32 rounding. auto takes cudagraph on CUDA; on a CPU
            compiled if the run is long enough to repay the compilation (which an earlier run like it has in the cache),
            captured if it is shorter, and eager below about 500 cheap steps.
        precision: of the networks' matrix products; everything else is float32. auto measures a product of the run's
            size, and takes bf16 where that is faster; config.yaml then has what it took.
        tracker: tell the run's numbers to it as well. Another package declares its own (:mod:`pyro_vae.trackers`).
        out: the run folder, runs/DATA-GUIDE-NUMBER if none is given. NUMBER is the first free one. The name also has
            the model, the prior and the objective, if they are not the defaults: runs/digits-IAF-IWAE5-1.
    """

    data: str = "digits"
    data_root: Path | None = None
    validation: int | None = None
    layout: Layout = "auto"
    image_size: int | str | None = None
    binarize: Literal["auto", "dynamic", "none"] = "auto"
    columns: str | None = None
    missing: Literal["auto", "allow", "mask", "refuse"] = "auto"
    labels: int | None = None
    labelled_batch_size: int = 20
    program: str | None = None
    model: Callable[[Decoder, Likelihood, Prior], Model] = models.VAE
    decoder: Callable[[int, Shape], Decoder] = models.MLPDecoder
    likelihood: Callable[[Shape], Likelihood] | None = None
    prior: Callable[[int], Prior] = models.StandardNormal
    encoder: Callable[[Shape], Encoder] = MLPEncoder
    guide: Callable[[Encoder, int], Guide] = MeanField
    objective: Callable[[], Objective] = Trace_ELBO
    beta: Callable[[], BetaSchedule] = Constant
    latent_dim: int = 10
    epochs: int = 200
    batch_size: int = 100
    optimizer: OptimizerName = "Adam"
    lr: float = 1e-3
    lr_schedule: str = "constant"
    weight_decay: float = 0.0
    clip_norm: float | None = None
    ema_decay: float = 0.0
    patience: int | None = None
    eval_samples: int = 1
    final_samples: int = 100
    seed: int = 0
    device: str = "auto"
    engine: EngineName = "auto"
    precision: AskedPrecision = "fp32"
    tracker: str | None = None
    out: Path | None = None

    def __post_init__(self) -> None:
        positive = (
            "labels",
            "labelled_batch_size",
            "latent_dim",
            "epochs",
            "batch_size",
            "lr",
            "clip_norm",
            "patience",
            "eval_samples",
            "final_samples",
        )
        for name, value in vars(self).items():
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise InputError(f"--{name} must be below 2^63, not {value}")
        for name in positive:
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"--{name} must be positive, not {value}")
        for name in ("weight_decay", "seed"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"--{name} must not be negative, not {getattr(self, name)}")
        if not 0 <= self.ema_decay < 1:
            raise InputError(f"--ema_decay must be at least 0 and below 1, not {self.ema_decay}")
        _ = self.size  # raises where it is none
        given_kinds(self.columns)  # raises where it has another form
        lr_schedule(self.lr_schedule)  # raises where there is none
        if self.tracker is not None:
            tracker_class(self.tracker)
        if self.program is not None:
            self._check_program(self.program)
        for option, kind in KINDS.items():
            factory = getattr(self, option)
            if factory is not None:
                check_kind(option, kind, class_of(factory))

    @property
    def size(self) -> Size | None:
        """The height and the width of ``image_size``.

        Raises:
            InputError: where it is neither H nor HxW.
        """
        return None if self.image_size is None else parse_size(self.image_size)

    @property
    def takes_missing(self) -> bool:
        """Whether NaN in images is a missing pixel."""
        return self.missing in ("allow", "mask")

    def _check_program(self, program: str) -> None:
        if not re.fullmatch(r"[^\W\d][\w.]*:[^\W\d][\w.]*", program):
            raise InputError(f"--program is MODULE:NAME, such as my_module:make, and not {program!r}")
        for name in ("model", "decoder", "likelihood", "prior", "encoder", "guide", "latent_dim", "labels"):
            given, default = getattr(self, name), type(self).__dataclass_fields__[name].default
            if (class_of(given) if callable(given) else given) is not default and given != default:
                raise InputError(
                    f"--program {program} has its own model and guide: leave out --{name.replace('_', '-')}"
                )


KINDS: dict[str, type] = {
    "model": Model,
    "decoder": Decoder,
    "likelihood": Likelihood,
    "prior": Prior,
    "encoder": Encoder,
    "guide": Guide,
    "objective": Objective,
    "beta": BetaSchedule,
}  #: the options that take a class, with the base class of each


def class_of(factory: Callable) -> Callable:
    """The class behind an option's factory."""
    return getattr(factory, "args", (factory,))[-1]


def check_kind(option: str, kind: type, found: Any) -> None:
    """Check that a class option has a class of its kind, and not for example a function that returns one.

    Raises:
        InputError: if ``found`` is not one.
    """
    if not (isinstance(found, type) and issubclass(found, kind)) or getattr(found, "__abstractmethods__", None):
        path = f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', found)}".lstrip(".")
        raise InputError(
            f"--{option} takes a class of the kind {kind.__name__}, and {path} is not one that can be created"
        )
