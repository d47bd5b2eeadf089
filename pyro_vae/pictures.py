"""The pictures of one run: model and guide on a data set, saved as figures/*.png."""

import io
from collections.abc import Callable

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from guides import Guide
from guides.labelled import LabelGuide, M2Guide
from pyro_vae import plots
from pyro_vae.data import Binarizer, DataSet
from pyro_vae.models import VAE, ConditionalVAE, Model
from pyro_vae.runs import RunFolder
from pyro_vae.seeds import seeded

SHOWN = 12  #: images in a row
PAIRS = 4  #: of test images, with a line between their codes
SCATTERED = 2000  #: images in the latent scatter
SIDE = 20  #: images along one side of the manifold


def figure_bytes(figure: Figure, kind: str = "png") -> bytes:
    """The file of a figure, in a format that matplotlib writes."""
    content = io.BytesIO()
    figure.savefig(content, dpi=110, format=kind)
    return content.getvalue()


def save_figure(folder: RunFolder, name: str, figure: Figure) -> None:
    """Write ``figures/NAME.png`` whole."""
    folder.write_figure(name, figure_bytes(figure))


@torch.no_grad()
def draw(model: Model, guide: Guide, data: DataSet, binarizer: Binarizer, folder: RunFolder) -> None:
    """Draw all pictures of a run: of a :class:`~pyro_vae.models.VAE`, or of a model of labels.

    Other models have no decoder to show.
    """
    with seeded(0):
        figures: dict[str, Figure] = {}
        if isinstance(model, VAE):
            figures = _figures(model, guide, data, binarizer)
        elif isinstance(model, ConditionalVAE) and isinstance(guide, LabelGuide):
            figures = label_figures(model, guide, data, binarizer)
        for name, figure in figures.items():
            save_figure(folder, name, figure)


def _shown(images: Tensor, data: DataSet) -> np.ndarray:
    """Images to show: pixels outside [0, 1] are rescaled from the darkest to the brightest of the data."""
    low, high = (0.0, 1.0) if 0 <= data.low <= data.high <= 1 else (data.low, data.high)
    return ((images - low) / (high - low)).cpu().numpy()


def _figures(model: VAE, guide: Guide, data: DataSet, binarizer: Binarizer) -> dict[str, Figure]:
    x = next(binarizer.held_out(data.test, min(SCATTERED, len(data.test))))

    def shown(images: Tensor) -> np.ndarray:
        return _shown(images, data)

    def means(z: Tensor) -> np.ndarray:
        return shown(model.likelihood(model.decode(z)).mean)

    z = guide.posterior(guide.amortize(x)).sample()
    first = x[:SHOWN]
    prior = model.prior()
    rows = {"test image": shown(first), "reconstruction": means(z[:SHOWN])}
    if binarizer.binary:
        rows = {"gray image": shown(data.test.batch(slice(0, SHOWN))), **rows}
    figures = {
        "reconstructions": plots.image_grid(rows, "Test images and their reconstructions, E[x|z] at z ~ q(z|x)"),
        "prior_samples": plots.image_square(means(prior.sample((100,))), "E[x|z] at z drawn from the prior p(z)"),
        "latent": _scatter(z, data),
    }
    if len(z) > 1:
        figures["interpolation"] = _interpolation(z, means, shown(x[: 2 * PAIRS]))
    if model.latent_dim == 2:
        plane, quantiles = latent_plane(SIDE)
        figures["manifold"] = plots.manifold(means(plane.to(z.device)), quantiles.numpy())
    return figures


@torch.no_grad()
def label_figures(model: ConditionalVAE, guide: LabelGuide, data: DataSet, binarizer: Binarizer) -> dict[str, Figure]:
    """Samples for each label, and test images under every label in their own style."""
    x = next(binarizer.held_out(data.test, min(SCATTERED, len(data.test))))
    classes = data.classes
    assert data.test.labels is not None
    assert classes is not None
    # The label of an image, or the guide's if the guide infers one.
    y = guide.log_label(x).argmax(-1) if isinstance(guide, M2Guide) else data.test.labels[: len(x)]
    every = torch.arange(model.num_classes, device=x.device)[:, None]

    def under_each_label(z: Tensor) -> dict[str, np.ndarray]:
        means = _shown(model.given(z, every).mean, data)
        return {f"y = {label}": row for label, row in zip(classes, means, strict=True)}

    z = guide.given(x, y).sample()
    rows = {"test image": _shown(x[:SHOWN], data)}
    if binarizer.binary:
        rows = {"gray image": _shown(data.test.batch(slice(0, SHOWN)), data), **rows}
    rows["reconstruction"] = _shown(model.given(z[:SHOWN], y[:SHOWN]).mean, data)
    return {
        "reconstructions": plots.image_grid(rows, "Test images and their reconstructions, E[x|y, z] at z ~ q(z|x, y)"),
        "class_samples": plots.image_grid(
            under_each_label(model.prior().sample((SHOWN,))), "E[x|y, z] of each label; a column has one z ~ p(z)"
        ),
        "analogies": plots.image_grid(
            {"test image": rows["test image"], **under_each_label(z[:SHOWN])},
            "The style z ~ q(z|x, y) of a test image under every label, E[x|y', z]",
        ),
        "latent": _scatter(z, data),
    }


def latent_plane(side: int) -> tuple[Tensor, Tensor]:
    """A grid over two latent dimensions in equal steps of the prior's probability.

    Returns:
        The points ``(side * side, 2)``, row by row from the top left, and the Gaussian quantiles ``(side,)`` along
        either axis (AEVB, Appendix A).
    """
    quantiles = torch.distributions.Normal(0.0, 1.0).icdf((torch.arange(side) + 0.5) / side)
    across, down = torch.meshgrid(quantiles, quantiles.flip(0), indexing="xy")
    return torch.stack([across.flatten(), down.flatten()], -1), quantiles


def _interpolation(z: Tensor, means: Callable[[Tensor], np.ndarray], images: np.ndarray) -> Figure:
    """A row for each pair of images: the first, the images at equal steps from its code to the other's, the other."""
    count = min(PAIRS, len(z) // 2)
    weights = torch.linspace(0, 1, SHOWN - 2, device=z.device)[:, None]
    rows = {}
    for i in range(count):
        line = means((1 - weights) * z[2 * i] + weights * z[2 * i + 1])
        rows[f"pair {'ABCD'[i]}"] = np.concatenate([images[2 * i, None], line, images[2 * i + 1, None]])
    ends = {0: "$x_1$", 1: "$z_1$", SHOWN - 2: "$z_2$", SHOWN - 1: "$x_2$"}
    title = "Test images $x_1$ and $x_2$, and E[x|z] on the straight line from code $z_1$ to code $z_2$"
    figure = plots.image_grid(rows, title, ends)
    for edge in (1, SHOWN - 1):  # a gap beside the images themselves
        figure.axes[0].axvline(edge * images.shape[-1] - 0.5, color="white", lw=6)
    return figure


def _scatter(z: Tensor, data: DataSet) -> Figure:
    points = z.cpu().numpy()
    numbers = None if data.test.labels is None else data.test.labels[: len(z)].cpu().numpy()
    labels = None if numbers is None else _named(numbers, data.classes)
    title = "One draw of z ~ q(z|x) for each test image"
    if points.shape[1] == 1:
        points = np.column_stack([points[:, 0], np.zeros(len(points)) if numbers is None else numbers])
        return plots.latent_scatter(points, labels, ("$z_1$ (prior standard deviations)", "label"), title)
    if points.shape[1] == 2:
        names = ("$z_1$ (prior standard deviations)", "$z_2$ (prior standard deviations)")
        return plots.latent_scatter(points, labels, names, title)
    if np.ptp(points, axis=0).max() == 0:  # one image, or one code for all: nothing varies
        return plots.latent_scatter(points[:, :2], labels, ("$z_1$", "$z_2$"), title)
    centred = points - points.mean(0)
    _, spread, directions = np.linalg.svd(centred, full_matrices=False)
    share = spread**2 / (spread**2).sum()
    components = [f"principal component {i + 1} of z ({share[i]:.0%} of variance)" for i in range(2)]
    if share[:2].sum() < 0.5:
        title += f"\n{share[:2].sum():.0%} of the variance is shown: what overlaps here may lie apart in z"
    return plots.latent_scatter(centred @ directions[:2].T, labels, components, title)


def _named(numbers: np.ndarray, classes: tuple[str, ...] | None) -> np.ndarray:
    """Numbers of classes ``(N,)`` as labels, -1 for an unknown one.

    Text labels stay numbers if there are more of them than markers, because a colour scale shows no words.
    """
    if classes is None or not classes:
        return numbers
    if all(name.lstrip("-").isdecimal() for name in classes):
        return np.append(np.array([int(name) for name in classes]), -1)[numbers]
    return np.array([*classes, "?"])[numbers] if len(classes) < len(plots.MARKERS) else numbers
