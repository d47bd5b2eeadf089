"""The wines of scikit-learn: a table."""

from pathlib import Path

import torch

from pyro_vae.data.rows import as_table
from pyro_vae.data.sets.base import NamedData
from pyro_vae.data.splits import Splits, split


def read(root: Path) -> Splits:
    """All 178 of them, with the cultivar as the label, which need no download."""
    from sklearn.datasets import load_wine

    found = load_wine()
    table = as_table(found.data, list(found.feature_names), "wine")
    return split(table.with_labels(torch.from_numpy(found.target).long(), found.target_names), "wine")


WINE = NamedData(
    name="wine",
    read=read,
    likelihood="Columns",
    images=(144, 17, 17),
    image_shape=(1, 1, 13),
    about="a table of 13 measurements of wines, 3 cultivars; inside scikit-learn, no network",
)
