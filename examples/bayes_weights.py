"""Full variational Bayes: the posterior of the decoder's weights, with few images and with many (AEVB, Appendix F).

    python examples/bayes_weights.py --out runs/bayes_weights

trains :class:`~pyro_vae.models.BayesianVAE` on 100, 400 and all 1,297 training digits, with equal numbers of steps, and
beside it the same networks as a VAE, whose weights are a point. It measures how far the posterior q(theta) is from the
prior N(0, I), how much the images at fixed z differ between draws of theta, and how well it predicts test images: by
the posterior means, and by the posterior predictive, the mean of p(x|theta) over draws of theta. Writes ``results.md``
and ``bayes_weights.png``.

With 100 images the bound of the posterior predictive is far above the VAE's. With all of them no order is shown. Both
are measured in ``results.md``, by one run each.
"""

import argparse
from math import log
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

import pyro_vae
from pyro_vae import estimators, plots, train_or_resume
from pyro_vae.data import Images, load_data
from pyro_vae.files import write_array, write_atomic
from pyro_vae.models import BayesianVAE
from pyro_vae.pictures import figure_bytes
from pyro_vae.runs import Run
from pyro_vae.seeds import seeded

SHOWN = 12  #: values of z in the picture
ROWS = 3  #: draws of theta in the picture


def few_images(out: Path, count: int, train: Images) -> str:
    """A file of digits with ``count`` for training; a tenth each is for validation and test."""
    path = out / f"digits-{count}.npy"
    if not path.exists():
        total = next(n for n in range(count, 2 * count) if n - 2 * (n // 10) == count)
        out.mkdir(parents=True, exist_ok=True)
        write_array(path, train.batch(slice(0, total)).numpy())
    return str(path)


def run_of(args: argparse.Namespace, model: str, data: str, count: int) -> Run:
    """The run of this model on so many images, trained if it is missing or not finished."""
    run = train_or_resume(
        args.out / f"{model}-{count}",
        data=data,
        model=model,
        decoder={"class_path": "MLPDecoder", "init_args": {"hidden_dims": [32], "activation": "tanh"}},
        latent_dim=5,
        objective="TraceMeanField_ELBO",
        epochs=args.epochs,
        batch_size=max(1, count // 13),
        lr=3e-3,
        lr_schedule="cosine",
        engine="eager",
    )
    # A posterior is taken at the end of training, a point at its best validation ELBO.
    return pyro_vae.load(run.folder.path, "last") if model == "BayesianVAE" else run


class Findings(NamedTuple):
    """The measurements of the model of so many images."""

    kl: float  #: KL(q(theta) || p(theta)), nats, of all weights
    scale: float  #: posterior standard deviation of a weight, mean over weights; the prior's is 1
    spread: float  #: standard deviation of a pixel's E[x|z, theta] over theta, mean over pixels and z
    predictive: estimators.Estimate  #: log p(x) of test images, nats
    at_mean: estimators.Estimate
    rows: dict[str, np.ndarray]  #: for the picture


@torch.no_grad()
def findings(run: Run, x: Tensor, draws: int, samples: int) -> Findings:
    """Ask a model; ``draws`` of theta, and ``samples`` of z for each test image and each theta."""
    model = run.model
    assert isinstance(model, BayesianVAE)
    at_mean = estimators.iwae(model, run.guide, x, samples)
    log_p, images = [], []
    with seeded(0):
        z = model.prior().sample(torch.Size([100]))
        for _ in range(draws):
            with model.drawn():
                images.append(model.likelihood(model.decode(z)).mean)
                log_p.append(estimators.iwae(model, run.guide, x, samples).per_image)
    predictive = torch.stack([p for p in log_p if p is not None]).logsumexp(0) - log(draws)
    stacked, q = torch.stack(images), model.weight_posterior().values()
    spread = stacked.std(0)
    rows = {f"draw {i + 1}": stacked[i, :SHOWN].numpy() for i in range(ROWS)}
    return Findings(
        kl=model.weight_kl().item(),
        scale=torch.cat([of.stddev.flatten() for of in q]).mean().item(),
        spread=spread.mean().item(),
        predictive=estimators.Estimate.over(predictive, f"mean over {draws} draws of theta", samples),
        at_mean=at_mean,
        rows={**rows, "deviation x 5": 5 * spread[:SHOWN].numpy()},
    )


def table(found: dict[int, Findings], point: dict[int, estimators.Estimate], draws: int, samples: int) -> str:
    """The numbers as Markdown."""
    head = [
        "training images",
        "KL(q(theta), p(theta))",
        "... for each image",
        "deviation of a weight",
        "deviation of a pixel",
        "bound on log p(x), predictive",
        "... posterior means",
        "... VAE",
    ]
    lines = [head, ["---"] * len(head)]
    for count, f in found.items():
        logs = [f"{e.value:.2f} +- {e.standard_error:.2f}" for e in (f.predictive, f.at_mean, point[count])]
        numbers = [f"{f.kl:,.0f}", f"{f.kl / count:.2f}", f"{f.scale:.3f}", f"{f.spread:.4f}"]
        lines.append([f"{count:,}", *numbers, *logs])
    return (
        "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
        + f"\nKL in nats. Deviations: of a weight under q(theta), mean over weights (1 under p(theta)); of a pixel's"
        f" E[x given z, theta] over {draws} draws of theta, mean over pixels and 100 draws of z. log p(x) in nats per"
        f" image, a density of gray values in [0, 1], on the same {point[min(point)].images} test digits, +- standard"
        f" error over images: importance-weighted with {samples} samples of z, a lower bound; predictive: of the mean"
        f" of p(x given theta) over {draws} draws. Seed 0, one run each; the VAE stops where its validation ELBO is"
        " best. So few samples leave the bounds loose, by an amount that differs between columns: of columns that"
        " differ by a nat or two, no order is shown.\n"
    )


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/bayes_weights"), help="the folder of runs and results")
    parser.add_argument("--counts", type=int, nargs="+", default=[100, 400, 1297], help="training images of each run")
    parser.add_argument("--epochs", type=int, default=200, help="of each run, of 13 or 14 steps whatever its images")
    parser.add_argument("--draws", type=int, default=20, help="of theta")
    parser.add_argument("--samples", type=int, default=100, help="of z, for log p(x)")
    args = parser.parse_args(argv)

    digits = load_data("digits")
    x = digits.test.batch(slice(0, len(digits.test)))
    found, point = {}, {}
    for count in args.counts:
        data = "digits" if count == len(digits.train) else few_images(args.out, count, digits.train)
        found[count] = findings(run_of(args, "BayesianVAE", data, count), x, max(args.draws, ROWS), args.samples)
        vae = run_of(args, "VAE", data, count)
        point[count] = estimators.iwae(vae.model, vae.guide, x, args.samples)
    command = f"python examples/bayes_weights.py --epochs {args.epochs} --draws {args.draws} --samples {args.samples}"
    numbers = table(found, point, args.draws, args.samples)
    text = f"# Full variational Bayes\n\n`{command}`\n\n![Draws of the weights](bayes_weights.png)\n\n{numbers}"
    write_atomic(args.out / "results.md", text)
    few, many = min(found), max(found)
    rows = {f"{n:,} images: {name}": row for n in dict.fromkeys((few, many)) for name, row in found[n].rows.items()}
    figure = plots.image_grid(rows, "E[x|z, theta]: the same z in every column of a model, another theta in each row")
    write_atomic(args.out / "bayes_weights.png", figure_bytes(figure))
    print(text)


if __name__ == "__main__":
    main()
