"""Runs as the page shows them: their test images, the codes of these, and images decoded from z."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pyro_vae.build import binarizer_of
from pyro_vae.data import MEMORY, DataSet, load_data, rows_at_once
from pyro_vae.data.fingerprint import check_same
from pyro_vae.encoding import encode
from pyro_vae.engine.precision import exact
from pyro_vae.errors import InputError
from pyro_vae.estimators import active_units
from pyro_vae.models import VAE, Model
from pyro_vae.run_pictures import SCATTERED, Subject
from pyro_vae.runs import Run
from pyro_vae.terminal import on_stderr, printable
from pyro_vae.trust import check_data_root

CODE_DRAWS = 32  #: draws of q(z|x) whose mean is the code of an image, where q's mean has no closed form
ACTIVITY = (500, 20)  #: test images, and draws of each, by which the activity of a dimension is known


@dataclass(frozen=True)
class Opened:
    """A run and its test images.

    Attributes:
        name: of its folder.
        subject: the test images as the model sees them, and how images are shown; its ``z`` are the codes.
        activity: Cov_x(E_q[z_d|x]) of each dimension, ``(D,)`` (:func:`pyro_vae.estimators.active_units`).
    """

    name: str
    run: Run
    subject: Subject
    activity: Tensor

    @property
    def codes(self) -> Tensor:
        """The mean of q(z|x) of each test image, ``(N, D)``."""
        return self.subject.z

    @cached_property
    def axes(self) -> tuple[int, int]:
        """The two most active dimensions, in their own order."""
        first, second = sorted(self.activity.argsort(descending=True)[:2].tolist())
        return first, second

    @torch.no_grad()
    def decoded(self, z: Tensor) -> np.ndarray:
        """E[x|z] as bytes to show, ``(M, D)`` to ``(M, H, W, C)``."""
        with exact(self.subject.x.device):
            return as_bytes(self.subject.means(z.to(self.subject.x.device)))

    def shown(self, x: Tensor) -> np.ndarray:
        """Images as bytes to show, ``(M, C, H, W)`` to ``(M, H, W, C)``."""
        return as_bytes(self.subject.shown(x))


@dataclass(frozen=True)
class Exhibit:
    """Runs of one data set, side by side.

    Attributes:
        gray: the test images as they are stored, ``(N, C, H, W)``.
        labels: numbers of classes, ``(N,)``; None without labels.
    """

    opened: tuple[Opened, ...]
    data: DataSet
    gray: Tensor
    labels: Tensor | None


def as_bytes(images: np.ndarray) -> np.ndarray:
    """Values in [0, 1] as bytes, ``(M, C, H, W)`` to ``(M, H, W, C)``; others are cut, a missing one (NaN) is gray.

    >>> as_bytes(np.array([[[[0.0, 0.5, 2.0, np.nan]]]])).tolist()
    [[[[0], [128], [255], [128]]]]
    """
    images = np.where(np.isnan(images), 0.5, images)
    return np.ascontiguousarray((images.clip(0, 1) * 255 + 0.5).astype(np.uint8).transpose(0, 2, 3, 1))


def refuse(run: Run) -> None:
    """
    Raises:
        InputError: where a run has no plane of images to show.
    """
    path, model = run.folder.path, run.model
    if run.config.program is not None:
        raise InputError(f"{path} is a run by --program, whose images explore does not know: name a run of a VAE")
    if not isinstance(model, VAE):
        raise InputError(f"{path} has a {type(model).__name__}, which decodes no image from z alone: name a VAE's run")
    if not _is_image(model):
        raise InputError(f"{path} is of {shape_words(model)}, and explore shows images of 1 or 3 channels")
    if model.latent_dim < 2:
        raise InputError(f"{path} has one latent dimension, and a plane needs two: train with --latent-dim 2 or more")
    if run.config.data == MEMORY:
        raise InputError(f"{path} was trained on data in memory, which explore cannot read: train on a file of them")


def _is_image(model: Model) -> bool:
    shape = tuple(model.image_shape)
    return len(shape) == 3 and shape[0] in (1, 3) and min(shape[1:]) > 1


def shape_words(model: Model) -> str:
    """The shape of what a model observes: ``1 x 8 x 8``."""
    return " x ".join(map(str, model.image_shape))


def open_runs(runs: Sequence[Run], data_root: Path | None, device: torch.device, trust: bool) -> Exhibit:
    """Read the test images of the runs, and encode them.

    Args:
        data_root: where the data sets are; by default where they were when the first run was trained.

    Raises:
        InputError: where a run cannot be shown, or the runs are of several data sets, or the data are not those that
            they were trained on.
    """
    for run in runs:
        refuse(run)
    first = runs[0]
    for run in runs[1:]:
        if run.config.data != first.config.data or run.model.image_shape != first.model.image_shape:
            raise InputError(
                f"{first.folder.path} is of {first.config.data} and {run.folder.path} of {run.config.data}:"
                " explore runs of one data set together"
            )
    root = None if data_root is not None else first.config.data_root
    if note := check_data_root(root, str(first.folder.path / "config.yaml"), trust):
        on_stderr(note)
    config = first.config
    root = data_root or config.data_root
    data = load_data(
        config.data,
        root,
        config.validation,
        config.layout,
        on_stderr,
        image_size=config.size,
        missing=config.takes_missing,
    )
    for run in runs:
        check_same(data, run.data, run.folder.path)
    count = min(SCATTERED, len(data.test), rows_at_once(data.image_shape, 2**26))
    gray = data.test.batch(slice(0, count))
    labels = None if data.test.labels is None else data.test.labels[:count]
    names = _names([run.folder.path for run in runs])
    opened = tuple(_opened(name, run, data, count, device) for name, run in zip(names, runs, strict=True))
    return Exhibit(opened, data, gray, labels)


def _opened(name: str, run: Run, data: DataSet, count: int, device: torch.device) -> Opened:
    binarizer = binarizer_of(run.config, run.model)
    x = next(binarizer.held_out(data.test, count)).to(device)
    codes = encode(run.model, run.guide, x, "mean", CODE_DRAWS)
    images, draws = ACTIVITY
    with exact(device):
        activity = active_units(run.guide, x[:images], draws).activity
    return Opened(name, run, Subject(run.model, run.guide, data, binarizer, x, None, codes), activity)


def _names(paths: Sequence[Path]) -> list[str]:
    """The names of folders; of those with the same name, whole paths."""
    names = [path.resolve().name for path in paths]
    return [printable(n if names.count(n) == 1 else str(p)) for n, p in zip(names, paths, strict=True)]
