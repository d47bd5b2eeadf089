"""Missing values filled in, and the command ``impute``."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyro_vae.better import Which
from pyro_vae.command_line import CommandParser
from pyro_vae.encoding import Source, columns_of_run
from pyro_vae.errors import InputError
from pyro_vae.estimators.imputation import filled
from pyro_vae.models import VAE
from pyro_vae.runs import Run
from pyro_vae.use.command import Use
from pyro_vae.use.opened import by_batches, opened
from pyro_vae.use.outputs import Output, beside, flat

BATCH = 100  #: rows at once
FEW = 100  #: effective draws of z below which a row is told
LARGEST = 2**53  #: above it double precision does not hold every whole number


class Imputed(NamedTuple):
    """What :class:`pyro_vae.estimators.Filled` holds: arrays for an array, tensors for a tensor."""

    values: Any
    draws: Any
    effective: Any


@torch.no_grad()
def impute(
    run: Run | Path | str,
    x: Any,
    draws: int = 0,
    posterior: Which = "amortized",
    num_samples: int = 1000,
    seed: int = 0,
    trust: bool = False,
) -> Imputed:
    """Missing values (NaN) of images or of rows of a table, filled in: the best value of each, and completed copies.

    The best value is the posterior mean E[x|what is seen], by self-normalised importance weights; a count's is rounded,
    and in a Bernoulli or Categorical column of a table it is the most probable value. See
    :func:`pyro_vae.estimators.filled`.

    Args:
        run: a run folder, or what :func:`pyro_vae.load` gave back.
        x: as for :func:`pyro_vae.features`, with NaN.
        draws: the number of completed copies of the data (multiple imputation); their spread shows the uncertainty of
            the missing values.
        posterior: where the draws of z come from: amortized is the guide's q(z|x), weighted; optimised its family's
            best q for each row, weighted; exact p(z|x) itself, by annealed chains.
        num_samples: samples of z for each row; those from q(z|x) are weighted.
        seed: of the draws.
        trust: as for :func:`pyro_vae.load`, of a run folder.

    Returns:
        ``values`` ``(N, *image_shape)``, ``draws`` ``(M, N, *image_shape)`` and ``effective`` ``(N,)``: what the draws
        of z behind a row are worth in independent ones of p(z|x). Arrays for an array, tensors for a tensor. What was
        seen is as ``x`` stores it, in its own precision.

    Raises:
        InputError: where ``x`` does not fit the run, the run takes no missing values, or the model has no decoder.

    >>> found = impute("runs/wine", rows, draws=20)                  # doctest: +SKIP
    >>> found.values, found.draws.std(0)                             # doctest: +SKIP
    """
    run, source = opened(run, x, num_samples, trust)
    model, guide = run.model, run.guide
    if draws < 0:
        raise InputError(f"draws must not be negative, not {draws}")
    if not isinstance(model, VAE):
        raise InputError(f"a {type(model).__name__} has no decoder to fill in missing values with")
    if not model.likelihood.allows_missing:
        raise InputError(f"{run.folder.path} takes no missing values: train it with --missing allow")
    if posterior != "exact" and not guide.has_density:
        raise InputError(f"{type(guide).__name__} has no density to weigh its draws by: take posterior exact")

    def packed(rows: Tensor, of_batch: int) -> Tensor:
        found = filled(model, guide, rows, draws, posterior, num_samples, of_batch)
        copies = torch.cat([found.values[None], found.draws]).flatten(2).swapaxes(0, 1)
        return torch.cat([found.effective[:, None].to(rows.dtype), copies.flatten(1)], 1)

    whole = by_batches(run, source, packed, seed, BATCH)
    copies = whole[:, 1:].reshape(len(whole), 1 + draws, *model.image_shape).swapaxes(0, 1)
    copies = _with_seen(source, copies)
    return Imputed(copies[0], copies[1:], whole[:, 0])


def _with_seen(source: Source, copies: Any) -> Any:
    """Copies ``(M, N, ...)`` with what was seen as it is stored: single precision does not hold a long number."""
    stored = source.images
    if source.divisor != 1:
        return copies
    if isinstance(stored, Tensor):
        stored = stored.detach() if stored.is_floating_point() else stored.double()
        return torch.where(stored.isnan(), copies, stored)
    return np.where(np.isnan(stored), copies, stored)


USE = Use(
    "impute",
    "Fill in missing values: the best value of each, or draws of all of them.",
    impute,
    "the filled-in rows as .csv, .npy (the best values) or .npz (draws and effective sample sizes too), or pictures",
    "runs/wine rows.csv --draws 20 --out filled.npz",
    pictures=True,
)


def command_parser() -> CommandParser:
    """The options of the command."""
    return USE.parser()


def main(argv: list[str]) -> None:
    """The command: see ``pyro-vae impute --help``."""
    given = USE.given(argv)
    assert given.rows is not None
    found = impute(given.run, given.rows.source, **given.own)
    x = given.rows.source.batch(slice(None)).numpy(force=True)
    missing = np.isnan(x)
    names, labels = columns_of_run(given.run), given.rows.label_array()
    copies = found.draws if len(found.draws) else found.values[None]
    own = {name: np.tile(column, len(copies)) for name, column in labels.items()}
    if len(found.draws):
        own = {"draw": np.repeat(np.arange(1, len(copies) + 1), len(x)), **own}
    values, holes = (
        flat(each.reshape(-1, *x.shape[1:]), names=names) for each in (copies, np.stack([missing] * len(copies)))
    )
    table = {name: _as_text(column, holes[name]) for name, column in values.items()}
    arrays = {"values": found.values, "draws": found.draws, "effective": found.effective, "missing": missing, **labels}
    images = None if names is not None else _beside(x, found)
    given.finish(Output(arrays, beside(own, table), images, 2 + len(found.draws)), _lines(missing, found))


def _as_text(column: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """A column ``(N,)``: what was seen as it is stored, what is filled in in single precision.

    Where all that was seen is whole, whole numbers have no decimal point.
    """
    text = np.where(missing, column.astype(np.float32).astype(str), column.astype(str))
    if (column[~missing] % 1 != 0).any():
        return text
    whole = (column % 1 == 0) & (np.abs(column) < LARGEST)
    return np.where(whole, np.where(whole, column, 0).astype(np.int64).astype(str), text)


def _beside(x: np.ndarray, found: Imputed) -> np.ndarray:
    """Each image with its missing pixels, its best completion, and its draws."""
    return np.stack([x, found.values, *found.draws], 1).reshape(-1, *x.shape[1:])


def _lines(missing: np.ndarray, found: Imputed) -> list[str]:
    few = int((found.effective < FEW).sum())
    median, least = np.median(found.effective), found.effective.min()
    holed = int(missing.reshape(len(missing), -1).any(1).sum())
    lines = [
        f"{int(missing.sum()):,} of {missing.size:,} values filled in, in {holed:,} of {len(missing):,} rows",
        f"effective sample size: median {median:.0f}, minimum {least:.0f};"
        f" {few:,} {'row' if few == 1 else 'rows'} below {FEW}",
    ]
    if few:
        lines.append("if it is too small, use --posterior optimised, --posterior exact or a larger --num-samples")
    return lines
