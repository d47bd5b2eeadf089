"""An autoencoder beside a VAE: both reconstruct, one generates.

    python examples/autoencoder.py --out runs/autoencoder

trains both on the digits with the same networks, the same two latent dimensions and the same likelihood. They differ
only in the guide and in the weight of the KL term: the autoencoder is ``Delta``, a point for q(z|x), with weight 0.
Then it measures each as a generative model, and writes ``results.md`` and ``autoencoder.png``:

- log p(x) of the test images, for z ~ N(0, I) as in the model, by quadrature over the latent plane: exact, so no
  estimator that needs a good q(z|x) helps or harms either model;
- the same for a third model, the autoencoder whose prior is a Gaussian fitted to its training codes, the usual repair
  (Ghosh et al. 2020, From Variational to Deterministic Autoencoders);
- the distance of their samples, and of mid-points of two codes, from the nearest training image.
"""

import argparse
from pathlib import Path

import numpy as np
import pyro.distributions as dist
import torch
from torch import Tensor

import pyro_vae
from pyro_vae import plots, train_or_resume
from pyro_vae.data import Images, load_data
from pyro_vae.files import write_atomic
from pyro_vae.models import VAE
from pyro_vae.pictures import figure_bytes
from pyro_vae.runs import Run
from pyro_vae.seeds import seeded

AUTOENCODER = {"guide": "Delta", "beta": {"class_path": "Constant", "init_args": {"beta": 0.0}}}
SHOWN = 12
SHARED = {"data": "digits", "latent_dim": 2, "lr_schedule": "cosine"}


def everything(images: Images) -> Tensor:
    return images.batch(slice(0, len(images)))


@torch.no_grad()
def log_evidence(model: VAE, prior: dist.MultivariateNormal, x: Tensor, side: int) -> Tensor:
    """log p(x) for each image, ``(N,)``, nats: the sum of p(z) p(x|z) over ``side`` x ``side`` cells of the plane.

    The plane is cut at 6 standard deviations of the prior, with less than 1e-7 of its mass outside, and the grid
    follows the prior's axes.
    """
    axis = (torch.arange(side) + 0.5) * (12 / side) - 6
    noise = torch.cartesian_prod(axis, axis)
    mass = dist.Normal(0, 1).log_prob(noise).sum(-1) + 2 * np.log(12 / side)
    total = torch.full((len(x),), -torch.inf)
    # The pixels of so many points stay in the processor's cache: ten times faster than a thousand points.
    points = (prior.loc + noise @ prior.scale_tril.mT).split(64)
    for z, log_mass in zip(points, mass.split(64), strict=True):
        # p(x|z) takes (points, images) at once if z has a dimension of one for the images.
        here = model.likelihood(model.decoder(z[:, None])).log_prob(x) + log_mass[:, None]
        total = torch.logaddexp(total, here.logsumexp(0))
    return total


def nearest(images: Tensor, to: Tensor) -> Tensor:
    """The Euclidean distance of each image from the nearest of ``to``, in units of a gray value of 1."""
    return torch.cdist(images.flatten(1), to.flatten(1)).min(1).values


class Side:
    """One model with its prior, and its measurements.

    Args:
        run: the model and the guide.
        prior: of z.
        x: test images.
        train: training images.
    """

    @torch.no_grad()
    def __init__(self, run: Run, prior: dist.MultivariateNormal, x: Tensor, train: Tensor, side: int):
        assert isinstance(run.model, VAE)
        self.model, self.prior = run.model, prior
        self.code = pyro_vae.features(run, x)
        aggregate = fitted_gaussian(pyro_vae.features(run, train))
        self.code_kl = torch.distributions.kl_divergence(aggregate, prior).item()
        self.reconstruction = self.means(self.code)
        with seeded(0):
            self.drawn = self.means(prior.sample(torch.Size([1000])))
            pairs = torch.randint(len(x), (1000, 2))
        self.between = self.means(self.code[pairs].mean(1))
        self.likelihood = self.model.likelihood(self.model.decoder(self.code)).log_prob(x)
        self.evidence = log_evidence(self.model, prior, x, side)
        self.cells = (self.evidence - log_evidence(self.model, prior, x, side // 2)).abs().max()
        self.squared_error = ((self.reconstruction - x) ** 2).flatten(1).mean(1)
        self.drawn_distance, self.between_distance = nearest(self.drawn, train), nearest(self.between, train)

    def means(self, z: Tensor) -> Tensor:
        """E[x|z]."""
        return self.model.likelihood(self.model.decoder(z)).mean

    def line(self, count: int) -> Tensor:
        """``count`` images on the straight line between the codes of the first two test images."""
        weight = torch.linspace(0, 1, count)[:, None]
        with torch.no_grad():
            return self.means((1 - weight) * self.code[0] + weight * self.code[1])


def fitted_gaussian(codes: Tensor) -> dist.MultivariateNormal:
    """The Gaussian of highest likelihood for these codes ``(N, D)``."""
    return dist.MultivariateNormal(codes.mean(0), torch.cov(codes.T, correction=0))


def written(mean: Tensor, digits: int = 2) -> str:
    """A mean over images or draws with its standard error."""
    return f"{mean.mean():.{digits}f} +- {mean.std() / len(mean) ** 0.5:.{digits}f}"


def table(sides: dict[str, Side], x: Tensor, train: Tensor, side: int) -> str:
    """The numbers as Markdown."""
    rows = {
        "squared error of a pixel, test reconstructions": [written(s.squared_error, 4) for s in sides.values()],
        "log p(x given z) at the mean of q(z given x)": [written(s.likelihood) for s in sides.values()],
        "log p(x), test images, quadrature": [written(s.evidence) for s in sides.values()],
        "... the same per image with cells twice as wide differs by at most": [
            f"{s.cells:.1g}" for s in sides.values()
        ],
        "KL(Gaussian fitted to the training codes, p(z))": [f"{s.code_kl:.2f}" for s in sides.values()],
        "distance of 1,000 draws from the nearest training image": [written(s.drawn_distance) for s in sides.values()],
        "distance of 1,000 mid-points of two test codes from it": [written(s.between_distance) for s in sides.values()],
    }
    head = f"| | {' | '.join(sides)} |\n| --- |{' --- |' * len(sides)}\n"
    body = "".join(f"| {name} | {' | '.join(cells)} |\n" for name, cells in rows.items())
    yardstick = written(nearest(x, train))
    return (
        f"{head}{body}\nAE: the autoencoder. log p in nats per image; means over {len(x)} test images (or 1,000 draws)"
        f" +- standard errors; one run of each, seed 0. Quadrature with {side} x {side} cells. Test images themselves"
        f" are {yardstick} from the nearest of the {len(train):,} training images, in gray values of [0, 1]. A draw"
        " that is as near as a test image can still be the same digit every time: a small distance is necessary, not"
        " sufficient; log p(x) is both.\n"
    )


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/autoencoder"), help="the folder of runs and results")
    parser.add_argument("--epochs", type=int, default=200, help="of each of the two runs")
    parser.add_argument("--side", type=int, default=400, help="cells along one side of the quadrature's square")
    args = parser.parse_args(argv)

    autoencoder = train_or_resume(args.out / "run-autoencoder", **SHARED, **AUTOENCODER, epochs=args.epochs)
    vae = train_or_resume(args.out / "run-vae", **SHARED, epochs=args.epochs)
    data = load_data("digits")
    x, train = everything(data.test), everything(data.train)
    standard = dist.MultivariateNormal(torch.zeros(2), torch.eye(2))
    fitted = fitted_gaussian(pyro_vae.features(autoencoder, train))
    sides = {
        "AE": Side(autoencoder, standard, x, train, args.side),
        "AE, fitted p(z)": Side(autoencoder, fitted, x, train, args.side),
        "VAE": Side(vae, standard, x, train, args.side),
    }
    command = f"python examples/autoencoder.py --epochs {args.epochs} --side {args.side}"
    image = "![Reconstructions, draws and lines](autoencoder.png)"
    text = f"# An autoencoder beside a VAE\n\n`{command}`\n\n{image}\n\n{table(sides, x, train, args.side)}"
    write_atomic(args.out / "results.md", text)
    rows = {"test image": x[:SHOWN]}
    rows |= {f"{name}: reconstruction": s.reconstruction[:SHOWN] for name, s in sides.items() if "fitted" not in name}
    rows |= {f"{name}: z ~ p(z)": s.drawn[:SHOWN] for name, s in sides.items()}
    rows |= {f"{name}: between two": s.line(SHOWN) for name, s in sides.items() if "fitted" not in name}
    figure = plots.image_grid({k: v.numpy() for k, v in rows.items()}, "E[x|z]: reconstructions, draws, and on a line")
    write_atomic(args.out / "autoencoder.png", figure_bytes(figure))
    print(text)


if __name__ == "__main__":
    main()
