"""The gallery of guides: ``python -m docs.pictures.gallery`` writes docs/gallery, some minutes on one core.

One decoder with two latent dimensions is trained on scikit-learn's digits, then frozen, so that an image has one true
posterior for all. Each family then trains its own encoder, and is drawn on the same two images.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pyro
import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from pyro.infer import Trace_ELBO
from torch import Tensor

import guides
import pyro_vae
from docs.pictures.plane import Plane, density_of, draw_guide, draw_true, true_posterior
from guides import Guide, MLPEncoder
from pyro_vae.data import load_data
from pyro_vae.estimators import LocalOptimization, optimize_posterior
from pyro_vae.models import Model
from pyro_vae.plots import COLOURS

FOLDER = Path(__file__).parent.parent / "gallery"
LEFT_OUT = ("TopDown", "BottomUp")  # two stochastic layers: with another prior only
STEPS = 3000  #: of each guide's training, in batches of 100
SEARCH = LocalOptimization(lr=0.01, max_steps=3000)
DRAWS = 5000  #: of z, for an ELBO


class Shown(NamedTuple):
    """An image and its true posterior."""

    name: str
    x: Tensor
    plane: Plane


def trained_model(folder: Path) -> Model:
    """A decoder of two latent dimensions, whose bound is so tight that no family has shaped its posteriors."""
    run = pyro_vae.train(
        data="digits", latent_dim=2, guide="IAF", objective={"class_path": "IWAE", "init_args": {"num_particles": 20}},
        epochs=150, engine="captured", out=str(folder / "run"), quiet=True,
    )  # fmt: skip
    return run.model.requires_grad_(False)


def bend(plane: Plane) -> float:
    """How far a posterior is from a Gaussian with its mean and covariance: KL to it, nats."""
    weight = (plane.density / plane.density.sum()).reshape(-1, 1)
    z = plane.points.reshape(-1, 2).double()
    mean = (weight * z).sum(0)
    covariance = (weight * (z - mean)).T @ (z - mean)
    gaussian = torch.distributions.MultivariateNormal(mean, covariance)
    log_p = plane.density.reshape(-1).clamp_min(1e-300).log()
    return float((weight[:, 0] * (log_p - gaussian.log_prob(z))).sum())


def chosen(model: Model, images: Tensor) -> list[Shown]:
    """Of the images, that with the median bend and that with the largest, by the grid alone."""
    planes = [true_posterior(model, x[None]) for x in images]
    order = sorted(range(len(images)), key=lambda i: bend(planes[i]))
    middle, last = order[len(order) // 2], order[-1]
    return [
        Shown("a usual image", images[middle][None], planes[middle]),
        Shown("the most difficult image", images[last][None], planes[last]),
    ]


def trained_guide(name: str, model: Model, images: Tensor) -> Guide:
    """The family's encoder, trained beside the frozen decoder."""
    torch.manual_seed(0)
    guide = guides.GUIDES[name](MLPEncoder((1, 8, 8), hidden_dims=[128, 128]), 2)
    if hasattr(guide, "bind"):
        guide.bind(model.log_joint)
    optimizer = torch.optim.Adam(guide.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    svi = pyro_vae.SVI(model, guide, optimizer, Trace_ELBO(), engine="eager")
    for _ in range(STEPS):
        svi.step(images[torch.randint(len(images), (100,))])
        schedule.step()
    return guide.eval()


def gap(model: Model, shown: Shown, q: pyro.distributions.TorchDistribution) -> float:
    """log p(x) - ELBO = KL(q || p), nats."""
    with torch.no_grad():
        z = q.rsample(torch.Size([DRAWS]))
        log_q = q.log_prob(z)
        return shown.plane.log_evidence - (model.log_joint(shown.x, z) - log_q).double().mean().item()


def draw(name: str, guide: Guide, model: Model, images: list[Shown]) -> tuple[Figure, list[float]]:
    """A guide on every image: its own q(z|x) and the best of its family; and its gaps."""
    figure = Figure(figsize=(3.3 * len(images), 3.7), layout="constrained")
    gaps = []
    for axes, shown in zip(figure.subplots(1, len(images)), images, strict=True):
        draw_true(axes, shown.plane)
        axes.set_title(shown.name, fontsize=11)
        axes.set_xlabel("z1")
        axes.set_ylabel("z2")
        with torch.no_grad():
            own = guide.amortize(shown.x)
        if not guide.has_density:
            axes.plot(*own[0, :2].numpy(), "o", color=COLOURS[0], ms=8)
            continue
        best = optimize_posterior(model, guide, shown.x, SEARCH).lam.detach()
        for lam, colour, line in ((best, COLOURS[1], "--"), (own, COLOURS[0], "-")):
            with torch.no_grad():
                q = guide.posterior(lam)
            draw_guide(axes, shown.plane, density_of(q, shown.plane, guide.scores_any_z), colour, line)
            gaps.append(gap(model, shown, q))
    handles = [
        Patch(color="0.7", label="p(z|x)"),
        Line2D([], [], color=COLOURS[0], label=f"q(z|x) of {name}"),
        Line2D([], [], color=COLOURS[1], ls="--", label="best of the family"),
    ]
    figure.legend(handles=handles[: 3 if guide.has_density else 2], loc="outside lower center", ncols=3, frameon=False)
    return figure, gaps


def main() -> None:
    torch.manual_seed(0)
    data = load_data("digits")
    train, test = data.train.batch(slice(None)), data.test.batch(slice(0, 100))
    with TemporaryDirectory() as folder:
        model = trained_model(Path(folder))
    images = chosen(model, test)
    for shown in images:
        print(f"{shown.name}: log p(x) {shown.plane.log_evidence:.2f}, bend {bend(shown.plane):.3f} nats")
    rows = []
    for name in guides.GUIDES:
        if name in LEFT_OUT:
            continue
        figure, gaps = draw(name, trained_guide(name, model, train), model, images)
        figure.savefig(FOLDER / f"{name}.png", dpi=100)
        rows.append((name, gaps))
        print(name, *(f"{one:.3f}" for one in gaps), flush=True)
    write_table(rows)


def write_table(rows: list[tuple[str, list[float]]]) -> None:
    """docs/gallery/gaps.md: the gaps of each guide, the parts of them, and the pictures."""
    text = "| guide | usual image: gap | of it the family's | most difficult: gap | of it the family's |\n"
    text += "| --- | ---: | ---: | ---: | ---: |\n"
    for name, found in rows:
        if found:
            text += f"| {name} | {found[1]:.2f} | {found[0]:.2f} | {found[3]:.2f} | {found[2]:.2f} |\n"
    for name, _ in rows:
        text += f"\n## {name}\n\n{{py:class}}`guides.{name}`\n\n"
        text += f"![The true posterior of two images, and {name}]({name}.png)\n"
    (FOLDER / "gaps.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
