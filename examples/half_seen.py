"""Half of a digit is seen: several completions by the guide, beside those of the true posterior.

    python examples/half_seen.py --out runs/half_seen

trains on the digits, each with one half hidden (top, bottom, left or right, by a fixed draw) or whole; the likelihood
has only the pixels that are seen, and the encoder sees which these are. It then hides the lower half of test digits and
fills it in: by z from q(z|x) alone, by draws of q that are weighted (``pyro_vae.impute``), and by z from p(z|x) itself
(annealed chains). Writes ``results.md`` and ``half_seen.png``.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import pyro_vae
from pyro_vae import plots, train_or_resume
from pyro_vae.data import load_data
from pyro_vae.files import write_array, write_atomic
from pyro_vae.pictures import figure_bytes
from pyro_vae.runs import Run

SHOWN = 12  #: images in the picture
SIDES = (slice(None, 4), slice(4, None))


def with_halves_hidden(x: np.ndarray, seed: int = 0) -> np.ndarray:
    """Images ``(N, 1, 8, 8)``; in four of five one half is NaN."""
    hidden = x.copy()
    for image, which in zip(hidden, np.random.default_rng(seed).integers(0, 5, len(x)), strict=True):
        if which < 2:
            image[:, SIDES[which]] = np.nan
        elif which < 4:
            image[:, :, SIDES[which - 2]] = np.nan
    return hidden


def run_of(out: Path, epochs: int) -> Run:
    """The run on images with hidden halves, trained if it is missing or not finished."""
    path = out / "digits-halves.npy"
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        write_array(path, with_halves_hidden(load_data("digits").train.batch(slice(None)).numpy()))
    return train_or_resume(
        out / "run",
        data=str(path),
        missing="mask",
        objective={"class_path": "IWAE", "init_args": {"num_particles": 5}},
        epochs=epochs,
        latent_dim=10,
    )


@torch.no_grad()
def by_the_guide(run: Run, x: Tensor, draws: int) -> Tensor:
    """Completions ``(draws, N, 1, 8, 8)`` by z from q(z|x), not weighted; what is seen stays."""
    torch.manual_seed(0)
    z = run.guide.posterior(run.guide.amortize(x)).sample(torch.Size([draws]))
    return torch.where(x.isnan(), run.model.likelihood(run.model.decode(z)).sample(), x)


def error(values: Tensor, truth: Tensor, hidden: Tensor) -> str:
    """The root mean square error of hidden pixels, with its standard error over images."""
    squares = ((values - truth) ** 2)[hidden].unflatten(0, (len(truth), -1)).mean(1).double()
    root = squares.mean().sqrt()
    return f"{root:.3f} ± {squares.std() / len(squares) ** 0.5 / (2 * root):.3f}"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/half_seen"), help="the folder of the run and results")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--images", type=int, default=100, help="test images")
    parser.add_argument("--draws", type=int, default=100, help="completions of each image; four are drawn")
    args = parser.parse_args(argv)

    run = run_of(args.out, args.epochs)
    digits = load_data("digits")
    truth = digits.test.batch(slice(0, args.images))
    x = truth.clone()
    x[:, :, 4:] = torch.nan
    hidden = x.isnan()

    mean = digits.train.batch(slice(None)).mean(0)
    alone = by_the_guide(run, x, args.draws)
    weighted = pyro_vae.impute(run, x, args.draws)
    exact = pyro_vae.impute(run, x, args.draws, posterior="exact")
    rows = {"the digit": truth, "what is seen": torch.where(hidden, 0.5, truth)}
    for name, draws in {"q(z|x)": alone, "weighted": weighted.draws, "p(z|x)": exact.draws}.items():
        rows |= {f"{name}, {i + 1}": draws[i] for i in range(min(4, len(draws)))}
    figure = plots.image_grid(
        {name: images[:SHOWN].numpy() for name, images in rows.items()}, "Lower halves filled in: draws, one a row"
    )
    write_atomic(args.out / "half_seen.png", figure_bytes(figure))

    def line(name: str, values: Tensor, draws: Tensor | None, effective: Tensor | None) -> str:
        spread = "" if draws is None else f"{draws.std(0)[hidden].mean():.3f}"
        worth = "" if effective is None else f"{effective.median():.0f} ({effective.min():.0f})"
        return f"| {name} | {error(values, truth, hidden)} | {spread} | {worth} |"

    lines = [
        line("mean of the training images", mean.expand_as(truth), None, None),
        line("z from q(z\\|x), not weighted", alone.mean(0), alone, None),
        line("z from q(z\\|x), weighted (`impute`)", weighted.values, weighted.draws, weighted.effective),
        line("z from p(z\\|x) (`--posterior exact`)", exact.values, exact.draws, exact.effective),
    ]
    command = f"python examples/half_seen.py --epochs {args.epochs} --images {args.images} --draws {args.draws}"
    text = (
        f"# Half-seen digits\n\n`{command}`\n\n![Completions of the lower half](half_seen.png)\n\n"
        "| filled in by | error of the mean | deviation between completions | effective draws of z: median (least) |\n"
        "| --- | ---: | ---: | ---: |\n" + "\n".join(lines) + "\n\n"
        f"Gray values in [0, 1], the hidden pixels of {len(truth)} test digits; the error is a root mean square, ±"
        " standard error over images. One seed.\n"
    )
    write_atomic(args.out / "results.md", text)
    print(text)


if __name__ == "__main__":
    main()
