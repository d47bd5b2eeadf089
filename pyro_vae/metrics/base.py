"""The declaration of a metric: all that is known of it, in one class."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from torch import Tensor

from pyro_vae.errors import InputError
from pyro_vae.estimators import Estimate
from pyro_vae.estimators.sampling import Progress
from pyro_vae.metrics.options import Options
from pyro_vae.runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Source = Literal["test", "train", "simulated"]
Better = Literal["higher", "lower", "neither"]
NATS = "nats per image"


class Task(NamedTuple):
    """One piece of the work on a metric.

    Attributes:
        x: the images of this piece, ``(N, *image_shape)``; of a metric of simulated images, an empty ``(1, 1)``.
        options: how the metrics are estimated.
        seed: of all draws of this piece: the same seed must give the same numbers.
        progress: called with the images that are done, and all of this piece.
        earlier: what a metric that this one needs found for each of these images: called with the names of the metric
            and of the estimate, it gives ``(N,)``. Where that metric is not defined, this one is not either.
        seen: the mean number of values of an image that are not missing, over all images of the metric; None for all.
    """

    run: Run
    x: Tensor
    options: Options
    seed: int
    progress: Progress
    earlier: Callable[[str, str], Tensor]
    seen: float | None = None


@dataclass(frozen=True)
class Finding:
    """What a metric has found: its estimates by name, and what its picture needs besides."""

    estimates: dict[str, Estimate]
    arrays: dict[str, Tensor] = field(default_factory=dict)


class Compared(NamedTuple):
    """How comparisons show an estimate.

    Attributes:
        estimate: its name; it has a value for each image.
        title: in words.
        better: whether higher or lower is better, or "neither".
        unit: that of the estimate.
    """

    estimate: str
    title: str
    better: Better
    unit: str = NATS


@dataclass(frozen=True)
class Metric(ABC):
    """A metric of a run: one subclass in one file.

    The first sentence of its docstring is its line in ``evaluate --help``. Its fields, if it is a frozen dataclass
    with fields, are options of the command: ``--NAME.FIELD``.

    Attributes:
        name: what ``--only`` takes; the key of ``metrics.json``.
        on: the images that it is measured on.
        against: of a metric that tells the images of ``--against`` from those of the test set: the words for the
            estimate of the metric's own name, which does it. Empty for all others.
        place: in the table, and in time: small ones first. Cheap metrics come first.
        on_demand: whether it is measured only where ``--only`` names it.
        piece: how many images are measured before what was found is saved; None where images cannot be taken apart.
            With pieces, every estimate has a value for each image.
        needs: the names of the metrics that it builds on (:attr:`Task.earlier`).
        takes_long: what takes long in it, in words.
        one_row: its only row in the table, where a row for each estimate would fill the screen.
        compared: which of its estimates comparisons show.
        in_comparisons: whether comparisons measure it unless they are told what to measure.
        cheap: the values of options for comparisons without a GPU, where a run takes a minute.
        least: the smallest values of options that it can be measured with; smaller ones are refused beforehand.
        picture_name: the name of the file of its picture, without ".png".
        picture_title: its title in reports; by default the name.
        picture_alt: what it shows, for readers who do not see it; by default the title.

    Example:
        >>> from pyro_vae.estimators import elbo
        >>> @dataclass(frozen=True)
        ... class Reconstruction(Metric):
        ...     '''The log-likelihood of images under their own codes.'''
        ...
        ...     name = "reconstruction"
        ...     draws: int = 10
        ...
        ...     def measure(self, task):
        ...         found = elbo(task.run.model, task.run.guide, task.x, self.draws, seed=task.seed)
        ...         return Finding({"reconstruction": found.log_likelihood})
    """

    name: ClassVar[str]
    on: ClassVar[tuple[Source, ...]] = ("test",)
    against: ClassVar[str] = ""
    place: ClassVar[int] = 1000
    on_demand: ClassVar[bool] = False
    piece: ClassVar[int | None] = None
    needs: ClassVar[tuple[str, ...]] = ()
    takes_long: ClassVar[str] = ""
    one_row: ClassVar[str] = ""
    compared: ClassVar[tuple[Compared, ...]] = ()
    in_comparisons: ClassVar[bool] = False
    cheap: ClassVar[Mapping[str, Any]] = {}
    least: ClassVar[Mapping[str, int]] = {}
    picture_name: ClassVar[str] = ""
    picture_title: ClassVar[str] = ""
    picture_alt: ClassVar[str] = ""

    @abstractmethod
    def measure(self, task: Task) -> Finding:
        """Measure one piece.

        Raises:
            NotDefined: if the metric has no meaning for this model or guide; the message is shown instead of a number.
        """

    @classmethod
    def own_options(cls) -> list[str]:
        """The names of its fields."""
        return [one.name for one in fields(cls)]

    def settings(self, options: Options) -> dict[str, Any]:
        """What its estimates depend on besides the run, the images and the seed; by default its own fields.

        A metric with the same settings is not measured again. The values are those that JSON has.
        """
        return asdict(self)

    def images(self, options: Options) -> int | None:
        """How many images it takes at most; None for all."""
        return options.images

    def picture(self, found: Finding) -> "Figure | None":
        """Its picture of what was found on all images of the test set or on simulated ones."""
        return None

    def picture_of_splits(self, found: Mapping[str, Mapping[str, Estimate]]) -> "Figure | None":
        """Its picture of the estimates on all sources of images: by source, by name."""
        return None

    def sentences(self, found: Mapping[str, Estimate]) -> list[str]:
        """What its estimates mean and what to do, in whole sentences.

        Args:
            found: all estimates on test images and on simulated ones, by name.
        """
        return []


def require_at_least(metric: Metric, **least: int) -> None:
    """Refuse options of a metric's own that are too small, in its ``__post_init__``.

    Raises:
        InputError: names the option.
    """
    for option, smallest in least.items():
        if (value := getattr(metric, option)) < smallest:
            raise InputError(f"--{metric.name}.{option} is at least {smallest}, not {value}")
