"""Cremer, Li & Duvenaud's two findings, looked for in runs of this project: a section of RESULTS.md.

    python -m benchmarks.suboptimality --data-root DIR [--epochs 8] [--seeds 3] [--images 100]

The first: a larger encoder shrinks the amortization gap. MeanField is trained with three encoders. The second: a model
learns to suit the guide of its training. For the model of each guide, optimisation without an encoder finds the best
factorised and the best full-rank Gaussian of each image. The runs are those of :mod:`benchmarks.gaps`; what is there
already is neither trained nor measured again.
"""

import argparse
import json

import numpy as np
import pyro
import torch
from torch import Tensor

import pyro_vae
from benchmarks.gaps import LOCAL
from benchmarks.measured import LOG_P, Measured, Place, add_runs, error_of, gains, runs_of, seeds_in_words, span
from benchmarks.results import command, machine, table, write_section
from guides import FullRank, Guide, MeanField, MLPEncoder
from pyro_vae.build import sees_binary
from pyro_vae.compare.statistics import differences, interval
from pyro_vae.data import Binarizer, load_data
from pyro_vae.estimators import Evidence, bounds_at, optimize_posterior
from pyro_vae.estimators.proposal import propose
from pyro_vae.evaluate import evaluate
from pyro_vae.files import read_text, write_atomic
from pyro_vae.metrics import Options
from pyro_vae.models import Model
from pyro_vae.runs import RunFolder
from pyro_vae.seeds import seeded

ENCODERS = {"100": "MeanField-encoder-100", "500": "MeanField", "500, 500": "MeanField-encoder-500-500"}
FAMILIES = (MeanField, FullRank)
AMORTIZATION, APPROXIMATION, OWN = (
    Place("test", "gap", name) for name in ("amortization_gap", "approximation_gap", "elbo_best")
)


class Free(Guide):
    """A family without an encoder: lambda of each image starts at the family's best fit to draws.

    Args:
        family: a class of guides whose posterior has no weights of its own and scores any z.
        draws: ``(S, N, D)``; lambda is fitted to them by maximum likelihood.
    """

    def __init__(self, family: type[Guide], image_shape: tuple[int, ...], draws: Tensor):
        inner = family(MLPEncoder(image_shape, [1]), draws.shape[-1])
        super().__init__(inner.encoder, inner.latent_dim, inner.head.out_features)
        self.inner = inner.requires_grad_(False)
        self.start = torch.zeros(draws.shape[1], inner.head.out_features, requires_grad=True)
        adam = torch.optim.Adam([self.start], lr=0.03)
        for _ in range(600):
            loss = -self.inner.posterior(self.start).log_prob(draws).mean(0).sum()
            (self.start.grad,) = torch.autograd.grad(loss, self.start)
            adam.step()

    def amortize(self, x: Tensor) -> Tensor:
        assert len(x) == len(self.start), "all images at once"
        return self.start.detach()

    def posterior(self, lam: Tensor):
        return self.inner.posterior(lam)


def near(family: type[Guide], model: Model, guide: Guide, x: Tensor) -> Tensor:
    """Draws near the family's best posterior: those of the best Gaussian or, of it, of the best factorised one.

    The best factorised Gaussian of :math:`N(m, P^{-1})` is :math:`N(m, diag(P)^{-1})`.
    """
    settings = Evidence()
    with seeded(0), pyro.validation_enabled(False), torch.no_grad():
        base = propose(model, guide, x, settings.search, settings.fit, settings.annealing.chains)
        loc, tril = base.loc[:, 0], base.scale_tril[:, 0]
        if family is MeanField:
            precision = torch.cholesky_inverse(tril).diagonal(dim1=-2, dim2=-1)
            tril = torch.diag_embed(precision.rsqrt())
        return loc + torch.einsum("nde,sne->snd", tril, torch.randn(200, *loc.shape))


def best_of(family: type[Guide], folder: RunFolder, x: Tensor) -> np.ndarray:
    """The ELBO of the family's best posterior for each image, ``(N,)``, nats; kept in the run folder."""
    path = folder.path / f"best-{family.__name__}-{len(x)}.json"
    if not path.exists():
        run, found = pyro_vae.load(folder.path), []
        for rows in torch.arange(len(x)).split(25):
            images = x[rows]
            guide = Free(family, tuple(x.shape[1:]), near(family, run.model, run.guide, images))
            best = optimize_posterior(run.model, guide, images, LOCAL)
            elbo = bounds_at(run.model, guide, images, best).elbo.per_image
            assert elbo is not None
            found += elbo.tolist()
        write_atomic(path, json.dumps(found))
    return np.array(json.loads(read_text(path)))


def measured(name: str, options: argparse.Namespace, *words: str) -> Measured:
    """Train and measure one arm with all seeds; what is there is not made again."""
    folders = runs_of(name, options, *words)
    settings = Options(images=options.images, evidence_images=options.images, gap_images=options.images, local=LOCAL)
    for folder in folders:
        names = ["certificate", "elbo", "evidence", "gap"]
        evaluate([folder.path], settings, names, train=False, data_root=options.data_root)
    return Measured(name, folders)


def of_encoders(options: argparse.Namespace) -> str:
    """The first finding: a table, and in a sentence what it shows."""
    arms = {
        hidden: measured(name, options, "--encoder.hidden_dims", f"[{hidden}]") for hidden, name in ENCODERS.items()
    }
    reference = arms["500"]
    found = gains(list(arms.values()), reference, AMORTIZATION)
    rows, words = [], []
    for hidden, arm in arms.items():
        gain = found.get(arm.guide)
        rows.append([f"[{hidden}]", *(arm.in_words(place) for place in (LOG_P, APPROXIMATION, AMORTIZATION))])
        rows[-1].append(span(gain) if gain else "")
        if gain:
            words.append(f"[{hidden}] {gain.verdict}")
    head = ["hidden layers", "log p(x), annealed", "approximation gap", "amortization gap", "beyond that of [500]"]
    return f"{table(head, rows)}\n\nThe amortization gap against that of [500]: {'; '.join(words)}."


def of_models(options: argparse.Namespace) -> str:
    """The second finding: a table, and in a sentence what it shows."""
    test = load_data("mnist", options.data_root).test
    rows, worth = [], {}
    for name in options.guides:
        arm = measured(name, options, "--guide", name)
        run = pyro_vae.load(arm.folders[0].path)
        x = next(Binarizer(sees_binary(run.config, run.model)).held_out(test, options.images))
        best = {family: np.stack([best_of(family, folder, x) for folder in arm.folders]) for family in FAMILIES}
        gain = best[FullRank] - best[MeanField]
        worth[name] = dict(enumerate(gain))
        numbers = [interval(values) for values in (*best.values(), gain)]
        cells = [f"{number.value:.2f} ± {error_of(number):.2f}" for number in numbers]
        rows.append([name, arm.in_words(LOG_P), *cells[:2], arm.in_words(OWN), cells[2]])
        print(" | ".join(rows[-1]), flush=True)
    first = options.guides[0]
    words = [f"{name} {span(found)} ({found.verdict})" for name, found in differences(worth, first).items()]
    head = ["model trained with", "log p(x), annealed", "best MeanField", "best FullRank", "best of its own"]
    said = f"What correlations are worth, against the model of {first}: {'; '.join(words)}." if words else ""
    return f"{table([*head, 'gain of FullRank'], rows)}\n\n{said}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_runs(parser, ["MeanField", "Householder", "IAF"], seeds=3)
    options = parser.parse_args()
    encoders, models = of_encoders(options), of_models(options)
    write_section(
        "suboptimality",
        "What Cremer, Li & Duvenaud 2018 found, looked for here",
        f"`{command('suboptimality', parser, options)}` on {machine()}.\n\n"
        f"AEVB's network, latent_dim 20, {options.epochs} epochs, {seeds_in_words(options.seeds)}, the first"
        f" {options.images} test images of MNIST in one draw of the binarisation; nats per image, ± one standard error"
        f" over {'seeds and images' if options.seeds > 1 else 'images alone'}; [ ]: 95 % intervals by compare's"
        " statistics. log p(x) is annealed and certified.\n\n"
        "**Does a larger encoder shrink the amortization gap?** MeanField with three encoders, all else alike.\n\n"
        f"{encoders}\n\n"
        "**Does a model learn to suit its guide?** The best ELBO that two families reach on models trained with other"
        " guides, each posterior optimised for each image from its best Gaussian. If the model of a flow has posteriors"
        " that a factorised Gaussian fits worse, the last column, what correlations are worth, is larger there. Best of"
        " its own: lambda alone is optimised; of a guide with networks in its posterior, such as IAF, this is not the"
        f" best of the family.\n\n{models}",
    )


if __name__ == "__main__":
    main()
