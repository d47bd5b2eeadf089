"""Images drawn from a run's model, and the command ``sample``."""

from pathlib import Path

import numpy as np
import pyro
import torch
from torch import Tensor
from torch.distributions import Distribution

from pyro_vae.command_line import CommandParser
from pyro_vae.data import rows_at_once
from pyro_vae.distributions.by_column import ByColumn
from pyro_vae.encoding import columns_of_run
from pyro_vae.errors import InputError, nearest_names
from pyro_vae.models import VAE, ConditionalVAE
from pyro_vae.runs import Run, load
from pyro_vae.seeds import batches, seeded
from pyro_vae.use.command import Use
from pyro_vae.use.opened import device_of
from pyro_vae.use.outputs import Output, beside, flat


@torch.no_grad()
def sample(
    run: Run | Path | str,
    num_samples: int = 64,
    mean: bool = False,
    label: str | None = None,
    seed: int = 0,
    trust: bool = False,
) -> np.ndarray:
    """Images of the model: z ~ p(z), then x ~ p(x|z) or its mean. Of a table, rows.

    Args:
        run: a run folder, or what :func:`pyro_vae.load` gave back.
        num_samples: how many images.
        mean: give E[x|z] at z ~ p(z) instead of a draw of x: images without the noise of their pixels. In a Bernoulli
            or Categorical column of a table it is the most probable value, as :func:`pyro_vae.impute` has it.
        label: the name of the images' label, of a model of labels; by default each image draws one.
        seed: of the draws; a smaller number of images with the same seed need not be the first of a larger one.
        trust: as for :func:`pyro_vae.load`, of a run folder.

    Returns:
        ``(num_samples, *image_shape)``, float32, on the scale that the model sees.

    Raises:
        InputError: where ``num_samples`` is not positive, or a label is given to a model without labels, or is not
            known, or means are asked of a model without a decoder.

    >>> images = sample("runs/digits", 16, seed=1)                   # doctest: +SKIP
    """
    run = load(run, trust=trust) if isinstance(run, Path | str) else run
    if num_samples < 1:
        raise InputError(f"num_samples must be positive, not {num_samples}")
    device = device_of(run)
    number = _number_of(run, label)
    parts = []
    for rows, own in batches(num_samples, rows_at_once(run.model.image_shape, 2**22), seed):
        count = rows.stop - rows.start
        with seeded(own), pyro.get_param_store().scope():
            y = _labels(run, count, number, device)
            parts.append((_means(run, count, y, device) if mean else _draws(run, count, y)).float().cpu())
    return torch.cat(parts).numpy()


def _number_of(run: Run, label: str | None) -> int | None:
    if label is None:
        return None
    if not isinstance(run.model, ConditionalVAE):
        raise InputError(f"a {type(run.model).__name__} has no labels: leave out --label")
    classes = run.classes or tuple(map(str, range(run.model.num_classes)))
    if label not in classes:
        near = nearest_names(label, classes)
        raise InputError(
            f"no label {label!r}: {f'nearest: {near[0]}; ' if near else ''}known: {', '.join(classes[:50])}"
        )
    return classes.index(label)


def _labels(run: Run, count: int, number: int | None, device: torch.device) -> Tensor | None:
    """The label of each image; each class is as likely where none is given."""
    if not isinstance(run.model, ConditionalVAE):
        return None
    if number is None:
        return torch.randint(run.model.num_classes, (count,)).to(device)
    return torch.full((count,), number, device=device)


def _draws(run: Run, count: int, y: Tensor | None) -> Tensor:
    with pyro.validation_enabled(False):
        return run.model(n=count) if y is None else run.model(n=count, y=y)


def _means(run: Run, count: int, y: Tensor | None, device: torch.device) -> Tensor:
    model = run.model
    if isinstance(model, ConditionalVAE):
        assert y is not None
        return _best(model.given(model.prior().sample(torch.Size([count])).to(device), y))
    if not isinstance(model, VAE):
        raise InputError(f"a {type(model).__name__} has no decoder for means: leave out --mean")
    return _best(model.likelihood(model.decode(model.prior().sample(torch.Size([count])))))


def _best(fn: Distribution) -> Tensor:
    """The mean; of a table's row, the best value of each column."""
    values = getattr(fn, "base_dist", fn)
    return values.best if isinstance(values, ByColumn) else fn.mean


USE = Use(
    "sample",
    "Draw images from the model: z ~ p(z), x ~ p(x|z).",
    sample,
    "a picture, or the images as .npy, .npz or .csv, or a folder of pictures",
    "runs/iaf --num-samples 100 --mean --out samples.png",
    data=False,
    pictures=True,
    flags={"mean": "give E[x|z] instead of a draw of x: images without the noise of their pixels"},
)


def command_parser() -> CommandParser:
    """The options of the command."""
    return USE.parser()


def main(argv: list[str]) -> None:
    """The command: see ``pyro-vae sample --help``."""
    given = USE.given(argv)
    found = sample(given.run, **given.own)
    columns = columns_of_run(given.run)
    table = beside({"row": np.arange(len(found))}, flat(found, names=columns))
    levels = "" if columns is None else " (in Bernoulli and Categorical columns, the most probable values)"
    what = f"means E[x|z]{levels}" if given.own["mean"] else "draws of x"
    given.finish(Output({"x": found}, table, found), [f"{len(found):,} {what}: shape {found.shape}"])
