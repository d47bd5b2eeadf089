"""The declaration of a data set that has a name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyro_vae.data.splits import Splits

NO_NETWORK = "--data digits needs no download"


def _none(root: Path) -> Sequence[Path]:
    return ()


@dataclass(frozen=True)
class NamedData:
    """A data set that ``--data`` finds by its name.

    Attributes:
        name: what is typed.
        read: from the folder of downloads to the training, validation and test images, always the same ones. It may
            download them; an :class:`~pyro_vae.errors.InputError` says in one line what cannot be had, and what to do.
        likelihood: the name of the likelihood that suits it.
        images: how many there are in each split.
        image_shape: channels, height, width.
        about: what it is and where it comes from, in a few words.
        files: from the folder of downloads to the files that ``read`` reads, if a look through their images takes long:
            the user's cache remembers what it found until one of them changes.
    """

    name: str
    read: Callable[[Path], Splits]
    likelihood: str
    images: tuple[int, int, int]
    image_shape: tuple[int, int, int]
    about: str
    files: Callable[[Path], Sequence[Path]] = _none

    def line(self) -> str:
        """The row of this data set in a table of README.md."""
        counts = " / ".join(f"{count:,}" for count in self.images)
        shape = " x ".join(map(str, self.image_shape))
        return f"| `{self.name}` | {counts} | {shape} | {self.likelihood} | {self.about} |"
