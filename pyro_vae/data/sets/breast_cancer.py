"""The tumours of scikit-learn: a table."""

from pathlib import Path

from pyro_vae.data.rows import as_labelled_table
from pyro_vae.data.sets.base import NamedData
from pyro_vae.data.splits import Splits, split


def read(root: Path) -> Splits:
    """All 569 of them, with the diagnosis as the label, which need no download."""
    from sklearn.datasets import load_breast_cancer

    return split(as_labelled_table(load_breast_cancer(), "breast_cancer"), "breast_cancer")


BREAST_CANCER = NamedData(
    name="breast_cancer",
    read=read,
    likelihood="Columns",
    images=(457, 56, 56),
    image_shape=(1, 1, 30),
    about="a table of 30 measurements of tumours, 2 diagnoses; inside scikit-learn, no network",
)
