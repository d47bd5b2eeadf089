"""Encoder and decoder as programs of ``torch.export``, which need torch alone, and the command ``export``."""

import errno
import io
import json
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import pyro
import torch
from torch import Tensor, nn

from guides import Guide
from pyro_vae.command_line import CommandParser
from pyro_vae.encoding import source_of
from pyro_vae.errors import InputError
from pyro_vae.files import make_folder, write_atomic
from pyro_vae.models import VAE
from pyro_vae.runs import Run, load
from pyro_vae.seeds import seeded
from pyro_vae.use.command import Use
from pyro_vae.use.opened import device_of

SIZES = (1, 3, 8, 61)  #: batches that a program is checked on; it was made with another one
MADE_WITH = 5
HIDDEN = 0.2  #: the share of missing values among the inputs, where the run allows them
TOLERANCE = 1e-4  #: of a number, relative to the largest one of the original


class Program(NamedTuple):
    """An exported program.

    Attributes:
        path: of its ``.pt2`` file.
        takes, gives: its input and its outputs, in words.
        difference: the largest from the original over all checks, relative to the largest number.
    """

    path: Path
    takes: str
    gives: str
    difference: float


class _Moments(nn.Module):
    """Images to the mean and the standard deviation of q(z|x)."""

    def __init__(self, guide: Guide):
        super().__init__()
        self.guide = guide

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        q = self.guide.posterior(self.guide.amortize(x))
        return q.mean, q.variance.sqrt()


class _Parameters(nn.Module):
    """Images to the variational parameters of q(z|x)."""

    def __init__(self, guide: Guide):
        super().__init__()
        self.guide = guide

    def forward(self, x: Tensor) -> Tensor:
        return self.guide.amortize(x)


class _Means(nn.Module):
    """Latent vectors to E[x|z]."""

    def __init__(self, model: VAE):
        super().__init__()
        self.model = model

    def forward(self, z: Tensor) -> Tensor:
        return self.model.likelihood(self.model.decode(z)).mean


def export(run: Run | Path | str, path: Path | str, trust: bool = False) -> dict[str, Program]:
    """Write a run's encoder and decoder by ``torch.export``: ``encoder.pt2`` and ``decoder.pt2`` in a folder.

    Each takes batches of any size. It is held against the original on fresh inputs of other sizes, some of them with
    missing values where the run allows these. Both files are written once both programs have passed.

    Args:
        run: a run folder, or what :func:`pyro_vae.load` gave back.
        path: the folder; it is made, and files of these names in it are replaced.
        trust: as for :func:`pyro_vae.load`, of a run folder.

    Returns:
        The programs by name. "encoder" maps images ``(N, *image_shape)`` to the mean and the standard deviation of
        q(z|x), ``(N, latent_dim)`` each, or, where the family has no closed form for these, to its variational
        parameters ``(N, P)``. "decoder" maps z ``(N, latent_dim)`` to E[x|z] ``(N, *image_shape)``.

    Raises:
        InputError: where the run has no such encoder or decoder, ``torch.export`` cannot export it, the program does
            not give what the original does, or the files cannot be written.

    >>> programs = export("runs/digits", "exported")                     # doctest: +SKIP
    >>> mean, std = torch.export.load("exported/encoder.pt2").module()(x)  # doctest: +SKIP
    """
    run = load(run, trust=trust) if isinstance(run, Path | str) else run
    model, guide = run.model, run.guide
    if not isinstance(model, VAE):
        raise InputError(
            f"export takes the encoder and the decoder of a VAE, and this run has a {type(model).__name__}"
        )
    device, shape = device_of(run), tuple(model.image_shape)
    source, likelihood = source_of(run, None), model.likelihood
    low, high = (source.low, source.high) if source.high < float("inf") else (-1.0, 1.0)

    def images(count: int) -> Tensor:
        x = model(n=count) if likelihood.of_columns else low + (high - low) * torch.rand(count, *shape)
        x = x.masked_fill(torch.rand(x.shape, device=x.device) < HIDDEN, torch.nan) if likelihood.allows_missing else x
        return x.to(device)

    def codes(count: int) -> Tensor:
        return torch.randn(count, model.latent_dim).to(device)

    folder = Path(path)
    encoder: nn.Module = _Moments(guide) if _has_moments(guide, images) else _Parameters(guide)
    gives = "mean, standard deviation" if isinstance(encoder, _Moments) else f"parameters of {type(guide).__name__}"
    about = {
        "encoder": (encoder, images, "x (N, " + ", ".join(map(str, shape)) + ")", gives),
        "decoder": (_Means(model), codes, f"z (N, {model.latent_dim})", "E[x|z]"),
    }
    try:
        make_folder(folder)
        for name in about:
            if (folder / f"{name}.pt2").is_dir():
                raise IsADirectoryError(errno.EISDIR, f"{name}.pt2 is a folder")
    except OSError as error:
        raise InputError(f"--out {folder} cannot be written: {error.strerror}") from error
    programs = {}
    with seeded(0), pyro.validation_enabled(False), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own workings
        contents = {}
        for name, (original, inputs, takes, words) in about.items():
            contents[name] = _file_of(_exported(name, original, inputs), name, run, takes, words)
            off = _checked(name, contents[name], original, inputs)
            programs[name] = Program(folder / f"{name}.pt2", takes, words, off)
    for name, program in programs.items():
        try:
            write_atomic(program.path, contents[name])
        except OSError as error:
            raise InputError(f"{program.path} cannot be written: {error.strerror}") from error
    return programs


def _has_moments(guide: Guide, images: Any) -> bool:
    try:
        with torch.no_grad(), seeded(0):
            q = guide.posterior(guide.amortize(images(1)))
            return bool(q.mean.isfinite().all() and q.variance.isfinite().all())
    except NotImplementedError:
        return False


def _exported(name: str, module: nn.Module, inputs: Any) -> Any:
    dynamic = ({0: torch.export.Dim("batch")},)
    try:
        return torch.export.export(module.eval(), (inputs(MADE_WITH),), dynamic_shapes=dynamic, strict=False)
    except Exception as error:  # torch.export raises almost every kind
        part = getattr(module, "guide", None) or getattr(module, "model", None)
        said = " ".join(str(error).split())[:150] or type(error).__name__
        raise InputError(f"torch.export cannot export the {name} of {type(part).__name__}: {said}") from error


def _file_of(program: Any, name: str, run: Run, takes: str, gives: str) -> bytes:
    about = {
        "part": name,
        "takes": takes,
        "gives": gives,
        "model": type(run.model).__name__,
        "guide": type(run.guide).__name__,
        "weights": run.weights,
    }
    content = io.BytesIO()
    torch.export.save(program, content, extra_files={"pyro_vae.json": json.dumps(about)})
    return content.getvalue()


def _checked(name: str, content: bytes, original: nn.Module, inputs: Any) -> float:
    """The largest difference of the program that a file will hold from the original.

    Raises:
        InputError: where it is no rounding error.
    """
    program, worst = torch.export.load(io.BytesIO(content)).module(), torch.zeros(())
    for size in SIZES:
        x = inputs(size)
        pairs = zip(_as_tuple(program(x)), _as_tuple(original(x)), strict=True)
        for found, expected in pairs:
            off = (found - expected).abs().max() if found.shape == expected.shape else torch.tensor(torch.inf)
            worst = torch.maximum(worst, (off / expected.abs().max().clamp(min=1.0)).cpu())  # NaN stays NaN
    if not worst <= TOLERANCE:
        raise InputError(
            f"the exported {name} differs from the original by {worst:.2g}: it draws random numbers, or depends on N"
        )
    return worst.item()


def _as_tuple(found: Any) -> tuple[Tensor, ...]:
    return found if isinstance(found, tuple) else (found,)


USE = Use(
    "export",
    "Export encoder and decoder by torch.export, checked against the originals.",
    export,
    "the folder for encoder.pt2 and decoder.pt2",
    "runs/iaf --out exported",
    data=False,
    folder=True,
)


def command_parser() -> CommandParser:
    """The options of the command."""
    return USE.parser()


def main(argv: list[str]) -> None:
    """The command: see ``pyro-vae export --help``."""
    given = USE.given(argv)
    assert given.out is not None
    for program in export(given.run, given.out).values():
        print(f"written: {program.path}: {program.takes} to {program.gives}; difference {program.difference:.1e}")
