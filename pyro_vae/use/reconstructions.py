"""Reconstructions of images, and the command ``reconstruct``."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyro_vae.better import EFFECTIVE, Which, repaired
from pyro_vae.command_line import CommandParser
from pyro_vae.encoding import columns_of_run, encode
from pyro_vae.errors import InputError
from pyro_vae.models import VAE
from pyro_vae.runs import Run
from pyro_vae.use.command import Use
from pyro_vae.use.opened import by_batches, opened
from pyro_vae.use.outputs import Output, beside, flat

IN_A_ROW = 10  #: images of a picture, each above its reconstruction


@torch.no_grad()
def reconstruct(
    run: Run | Path | str,
    x: Any,
    posterior: Which = "amortized",
    num_samples: int = 100,
    seed: int = 0,
    trust: bool = False,
) -> Any:
    """Reconstructions of images: the mean of E[x'|z] over draws of z from the chosen posterior.

    Args:
        run: a run folder, or what :func:`pyro_vae.load` gave back.
        x: as for :func:`posterior_draws`.
        posterior: amortized is the guide's q(z|x); optimised its family's best q for each image; exact p(z|x) itself,
            by annealed chains. The latter two take seconds for some tens of images.
        num_samples: draws of z for each image.
        seed: of the draws.
        trust: as for :func:`pyro_vae.load`, of a run folder.

    Returns:
        ``(N, *image_shape)``, on the scale that the model sees: an array for an array, a tensor for a tensor.

    Raises:
        InputError: as for :func:`posterior_draws`, and where the model has no decoder.

    >>> repaired = reconstruct("runs/digits", images, "exact")       # doctest: +SKIP
    """
    run, source = opened(run, x, num_samples, trust)
    model = run.model
    if not isinstance(model, VAE):
        raise InputError(f"a {type(model).__name__} has no decoder to reconstruct with")
    guide: Any = repaired(model, run.guide, posterior, max(EFFECTIVE, num_samples))

    def means(images: Tensor, of_batch: int) -> Tensor:
        z = encode(model, guide, images, "samples", num_samples, len(images), of_batch)
        total = torch.zeros(len(images), *model.image_shape, device=images.device)
        for part in z.split(10):
            total += model.likelihood(model.decode(part)).mean.sum(0)
        return total / num_samples

    return by_batches(run, source, means, seed)


USE = Use(
    "reconstruct",
    "Reconstruct images: the mean of E[x'|z] over draws of z given x.",
    reconstruct,
    "a picture (each image above its reconstruction), or the reconstructions as .npy, .npz or .csv, or a folder",
    "runs/iaf digits --posterior optimised --out reconstructions.png",
    pictures=True,
)


def command_parser() -> CommandParser:
    """The options of the command."""
    return USE.parser()


def main(argv: list[str]) -> None:
    """The command: see ``pyro-vae reconstruct --help``."""
    given = USE.given(argv)
    assert given.rows is not None
    found = reconstruct(given.run, given.rows.source, **given.own)
    x = given.rows.source.batch(slice(None)).numpy(force=True)
    off = (found - x)[~np.isnan(x)]  # nobody knows how far a missing value is off
    error = float(np.sqrt(np.square(off, dtype=np.float64).mean())) if off.size else float("nan")
    columns = columns_of_run(given.run)
    table = beside(given.rows.columns(), flat(found, names=columns))
    arrays = {"reconstruction": found, "x": x, **given.rows.label_array()}
    as_pictures = given.out is not None and given.out.suffix
    images = _pairs(x, found) if as_pictures else found
    what = "a pixel" if columns is None else "a value, in the units of its column,"
    lines = [f"{len(x):,} rows; root mean square error of {what} {error:.4f}"]
    given.finish(Output(arrays, table, images, min(IN_A_ROW, len(x))), lines)


def _pairs(x: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Rows of images, each followed by a row of their reconstructions."""
    rows = []
    for start in range(0, len(x), IN_A_ROW):
        part, other = x[start : start + IN_A_ROW], found[start : start + IN_A_ROW]
        blank = np.zeros((IN_A_ROW - len(part) if len(x) > IN_A_ROW else 0, *x.shape[1:]), x.dtype)
        rows += [part, blank, other, blank]
    return np.concatenate(rows)
