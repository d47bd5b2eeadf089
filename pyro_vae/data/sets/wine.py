"""The wines of scikit-learn: a table."""

from pathlib import Path

from pyro_vae.data.rows import as_labelled_table
from pyro_vae.data.sets.base import NamedData
from pyro_vae.data.splits import Splits, split


def read(root: Path) -> Splits:
    """All 178 of them, with the cultivar as the label, which need no download."""
    from sklearn.datasets import load_wine

    return split(as_labelled_table(load_wine(), "wine"), "wine")


WINE = NamedData(
    name="wine",
    read=read,
    likelihood="Columns",
    images=(144, 17, 17),
    image_shape=(1, 1, 13),
    about="a table of 13 measurements of wines, 3 cultivars; inside scikit-learn, no network",
)
