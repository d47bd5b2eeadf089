"""The options of a run as keyword arguments, for editors and type checkers."""

from pathlib import Path
from typing import Any, Literal, TypedDict

from guides import Encoder, Guide
from pyro_vae.data.layout import Layout
from pyro_vae.data.memory import InMemory
from pyro_vae.engine import EngineName
from pyro_vae.engine.precision import AskedPrecision
from pyro_vae.models import Decoder, Likelihood, Model, Prior
from pyro_vae.objectives import Objective
from pyro_vae.optim import OptimizerName
from pyro_vae.schedules import BetaSchedule

#: a class by its name or import path, or ``{"class_path": ..., "init_args": {...}}``
Named = str | dict[str, Any]


class RunOptions(TypedDict, total=False):
    """The arguments of :func:`pyro_vae.train`: the fields of :class:`~pyro_vae.config.Config`, which explains each.

    A class is given by its name, by its import path, as ``{"class_path": ..., "init_args": {...}}``, or itself.
    """

    data: str | InMemory
    data_root: Path | str | None
    validation: int | None
    layout: Layout
    image_size: int | str | None
    binarize: Literal["auto", "dynamic", "none"]
    columns: str | None
    missing: Literal["auto", "allow", "mask", "refuse"]
    labels: int | None
    labelled_batch_size: int
    program: str | None
    model: Named | type[Model]
    decoder: Named | type[Decoder]
    likelihood: Named | type[Likelihood] | None
    prior: Named | type[Prior]
    encoder: Named | type[Encoder]
    guide: Named | type[Guide]
    objective: Named | type[Objective]
    beta: Named | type[BetaSchedule]
    latent_dim: int
    epochs: int
    batch_size: int
    optimizer: OptimizerName
    lr: float
    lr_schedule: str
    weight_decay: float
    clip_norm: float | None
    ema_decay: float
    patience: int | None
    eval_samples: int
    final_samples: int
    seed: int
    device: str
    engine: EngineName
    precision: AskedPrecision
    tracker: str | None
    out: Path | str | None
