"""The stated error of log p(x) by repetition, where latent_dim is 2 and a grid knows the truth."""

from pathlib import Path

import pyro_vae
from benchmarks.guides import trained
from pyro_vae.build import sees_binary
from pyro_vae.data import Binarizer, load_data
from pyro_vae.estimators import log_evidence
from pyro_vae.estimators.grid import grid_evidence
from pyro_vae.files import read_text, write_atomic

IMAGES = 20  #: the first test images


def repeated(folder: Path, data_root: Path | None, name: str, images: int, times: int) -> str:
    """How often the stated error of each image covers the truth of a grid, for a run with two latent dimensions.

    The images are repeated side by side, each time with draws of its own.
    """
    run = pyro_vae.load(folder)
    x = next(Binarizer(sees_binary(run.config, run.model)).held_out(load_data(name, data_root).test, images))
    truth = grid_evidence(run.model, x)
    found = log_evidence(run.model, run.guide, x.repeat(times, *[1] * (x.dim() - 1)))
    assert found.per_image is not None
    assert found.per_image_error is not None
    off = (found.per_image - truth.repeat(times)).unflatten(0, (times, images))
    stated = found.per_image_error.unflatten(0, (times, images))
    means, errors = off.mean(1), stated.square().sum(1).sqrt() / images
    covered, of_means = (off.abs() < 2 * stated).double().mean(), (means.abs() < 2 * errors).double().mean()
    worst = off.mean(0).abs().max()
    return (
        f"On {images} images of {name} with two latent dimensions, where a grid knows log p(x), {times} repetitions are"
        f" off by {off.mean():+.4f} nats on average; the mean of the worst image by {worst:.3f}, the worst repetition"
        f" by {off.abs().max():.3f}; two stated errors of an image cover the truth in {covered:.1%} of cases, and two"
        f" of the mean over images in {of_means:.0%}."
    )


def against_grids(out: Path, data_root: Path, on_digits: int, on_mnist: int) -> list[str]:
    """The sentences of :func:`repeated`, so many times each, kept in the run folders; 0 leaves one out."""
    digits, mnist = out / "digits-2", out / "mnist-2"
    if on_digits and not (digits / "checkpoint.last.safetensors").exists():
        pyro_vae.train(data="digits", epochs=15, latent_dim=2, engine="eager", device="cpu", out=str(digits))
    if on_mnist:
        trained(mnist, data_root, "--latent-dim", "2", "--epochs", "2", "--engine", "compiled")
    found = []
    for folder, root, times in ((digits, None, on_digits), (mnist, data_root, on_mnist)):
        path = folder / f"against-a-grid-{IMAGES}-{times}.txt"
        if not times:
            continue
        if not path.exists():
            write_atomic(path, repeated(folder, root, folder.name.partition("-")[0], IMAGES, times))
        found.append(read_text(path))
    return found
