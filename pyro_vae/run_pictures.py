"""The pictures of a run: each is one declaration, found here or in other packages by its entry point.

They show a :class:`~pyro_vae.models.VAE` or a model of labels; other models have no decoder to show.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from guides import Guide
from guides.labelled import LabelGuide, M2Guide
from pyro_vae import plots, table_pictures
from pyro_vae.data import Binarizer, DataSet, rows_at_once
from pyro_vae.models import VAE, ConditionalVAE, Model
from pyro_vae.plugs import declared
from pyro_vae.seeds import forked, seeded

SHOWN = 12  #: images in a row
PAIRS = 4  #: of test images, with a line between their codes
SCATTERED = 2000  #: images in the latent scatter
SIDE = 20  #: images along one side of the manifold
PIXELS = 256  #: along a side of a shown image; a larger one is shown smaller
HELD = 2**26  #: values of the test images that are held for the pictures


@dataclass(frozen=True)
class Subject:
    """What a picture is drawn of.

    Attributes:
        x: test images as the model sees them, ``(N, *image_shape)``.
        y: their labels, ``(N,)``, the guide's if it infers them; None for a model without labels.
        z: one draw of q(z|x) for each, ``(N, latent_dim)``.
    """

    model: Model
    guide: Guide
    data: DataSet
    binarizer: Binarizer
    x: Tensor
    y: Tensor | None
    z: Tensor

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names of the columns of a table; None for images."""
        return self.data.train.names

    def shown(self, images: Tensor) -> np.ndarray:
        """Images to show: pixels outside [0, 1] are rescaled from the darkest to the brightest of the data."""
        inside = 0 <= self.data.low <= self.data.high <= 1
        low, high = (0.0, 1.0) if inside else (self.data.low, self.data.high)
        return ((_small(images) - low) / (high - low)).cpu().numpy()

    def means(self, z: Tensor, y: Tensor | None = None) -> np.ndarray:
        """E[x|z], or E[x|y, z] of a model of labels, to show."""
        if isinstance(self.model, ConditionalVAE):
            assert y is not None
            return self.shown(self.model.given(z, y).mean)
        assert isinstance(self.model, VAE)
        parts = z.split(rows_at_once(self.data.image_shape))
        return np.concatenate([self.shown(self.model.likelihood(self.model.decode(part)).mean) for part in parts])

    def each_label(self, z: Tensor) -> dict[str, np.ndarray]:
        """E[x|y, z] for each label y, a row each."""
        assert isinstance(self.model, ConditionalVAE)
        assert self.data.classes is not None
        every = torch.arange(self.model.num_classes, device=z.device)[:, None]
        return {f"y = {label}": row for label, row in zip(self.data.classes, self.means(z, every), strict=True)}


@dataclass(frozen=True)
class RunPicture:
    """A picture of a run.

    Attributes:
        name: of its file, without ".png".
        draw: None if there is none of this subject. Random numbers start from the same state for every picture.
        title: in the report of a comparison.
        alt: what it shows, for readers who cannot see it.
        of_images: whether it is made of images, whose grays stay as they are where the report's page is dark.
    """

    name: str
    draw: Callable[[Subject], Figure | None]
    title: str
    alt: str
    of_images: bool = False


def run_pictures() -> dict[str, RunPicture]:
    """Every picture of a run that is installed, by name; those of this project keep their names."""
    others = declared("run_picture", _is_one, "RunPicture").values()
    return {**{one.name: one for one in others}, **OWN}


def _is_one(found: object) -> bool:
    return isinstance(found, RunPicture)


def _small(images: Tensor) -> Tensor:
    """Images ``(..., C, H, W)``, averaged over squares of pixels if a side has more than ``PIXELS``."""
    over = -(-max(images.shape[-2:]) // PIXELS)
    if over <= 1:
        return images
    square = [min(over, side) for side in images.shape[-2:]]
    return F.avg_pool2d(images.flatten(0, -4), square, ceil_mode=True).unflatten(0, images.shape[:-3])


@torch.no_grad()
def figures_of(model: Model, guide: Guide, data: DataSet, binarizer: Binarizer) -> dict[str, Figure]:
    """All pictures of a model and its guide, by name."""
    figures = {}
    with seeded(0):
        subject = subject_of(model, guide, data, binarizer)
        if subject is None:
            return {}
        for name, picture in run_pictures().items():
            if picture.of_images and subject.names is not None:
                continue
            with forked():
                figure = picture.draw(subject)
            if figure is not None:
                figures[name] = figure
    return figures


def subject_of(model: Model, guide: Guide, data: DataSet, binarizer: Binarizer) -> Subject | None:
    """The test images with their labels and codes; None for a model that has no decoder to show."""
    count = min(SCATTERED, len(data.test), rows_at_once(data.image_shape, HELD))
    x, y = next(binarizer.held_out(data.test, count)), None
    if isinstance(model, VAE):
        z = guide.posterior(guide.amortize(x)).sample()
    elif isinstance(model, ConditionalVAE) and isinstance(guide, LabelGuide):
        assert data.test.labels is not None
        y = guide.log_label(x).argmax(-1) if isinstance(guide, M2Guide) else data.test.labels[: len(x)]
        z = guide.given(x, y).sample()
    else:
        return None
    return Subject(model, guide, data, binarizer, x, y, z)


def _reconstructions(of: Subject) -> Figure:
    y = None if of.y is None else of.y[:SHOWN]
    rows = {"test image": of.shown(of.x[:SHOWN]), "reconstruction": of.means(of.z[:SHOWN], y)}
    if of.binarizer.binary:
        rows = {"gray image": of.shown(of.data.test.batch(slice(0, SHOWN))), **rows}
    how = "E[x|z] at z ~ q(z|x)" if y is None else "E[x|y, z] at z ~ q(z|x, y)"
    return plots.image_grid(rows, f"Test images and their reconstructions, {how}")


def _prior_samples(of: Subject) -> Figure | None:
    if not isinstance(of.model, VAE):
        return None
    z = of.model.prior().sample((100,))
    return plots.image_square(of.means(z), "E[x|z] at z drawn from the prior p(z)")


def _class_samples(of: Subject) -> Figure | None:
    if not isinstance(of.model, ConditionalVAE):
        return None
    z = of.model.prior().sample((SHOWN,))
    return plots.image_grid(of.each_label(z), "E[x|y, z] of each label; a column has one z ~ p(z)")


def _analogies(of: Subject) -> Figure | None:
    if of.y is None:
        return None
    rows = {"test image": of.shown(of.x[:SHOWN]), **of.each_label(of.z[:SHOWN])}
    return plots.image_grid(rows, "The style z ~ q(z|x, y) of a test image under every label, E[x|y', z]")


def _of_table(subject: Subject, draw: Callable[..., Figure]) -> Figure | None:
    """A picture of the test rows of a table ``(N, P)`` and of 1000 rows drawn from the model."""
    if subject.names is None:
        return None
    labels = {"y": torch.arange(1000, device=subject.x.device) % (subject.data.num_classes or 1)}
    drawn = subject.model(n=1000, **(labels if isinstance(subject.model, ConditionalVAE) else {}))
    return draw(*(rows.flatten(1).cpu().numpy() for rows in (subject.x, drawn)), subject.names)


def _marginals(of: Subject) -> Figure | None:
    return _of_table(of, table_pictures.marginals)


def _pairs(of: Subject) -> Figure | None:
    return _of_table(of, table_pictures.pairs)


def _latent(of: Subject) -> Figure:
    return _scatter(of.z, of.data)


def _between(of: Subject) -> Figure | None:
    return _interpolation(of.z, of.means, of.shown(of.x[: 2 * PAIRS])) if of.y is None and len(of.z) > 1 else None


def _manifold(of: Subject) -> Figure | None:
    if of.y is not None or of.model.latent_dim != 2:
        return None
    plane, quantiles = latent_plane(SIDE)
    return plots.manifold(of.means(plane.to(of.z.device)), quantiles.numpy())


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
    title = f"One draw of z ~ q(z|x) for each test {'image' if data.test.names is None else 'row'}"
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


#: the pictures of this file, by name
OWN: dict[str, RunPicture] = {
    one.name: one
    for one in (
        RunPicture(
            "reconstructions",
            _reconstructions,
            "Reconstructions",
            "Test images above their reconstructions",
            of_images=True,
        ),
        RunPicture("prior_samples", _prior_samples, "Samples", "Images drawn from the prior", of_images=True),
        RunPicture(
            "interpolation",
            _between,
            "Interpolations",
            "Images on the line between the codes of two test images",
            of_images=True,
        ),
        RunPicture("manifold", _manifold, "Manifold", "Images over the latent plane", of_images=True),
        RunPicture(
            "class_samples", _class_samples, "Samples of each label", "Images drawn for each label", of_images=True
        ),
        RunPicture("analogies", _analogies, "Analogies", "Test images under every label", of_images=True),
        RunPicture("marginals", _marginals, "Columns", "Columns of test rows and of rows drawn from the model"),
        RunPicture("pairs", _pairs, "Pairs of columns", "Pairs of columns of test rows and of drawn rows"),
        RunPicture("latent", _latent, "Latent space", "Latent positions of the test images"),
    )
}
