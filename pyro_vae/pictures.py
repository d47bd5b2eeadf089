"""The files of pictures: ``figures/*.png`` of a run folder."""

import io

from matplotlib.figure import Figure

from guides import Guide
from pyro_vae.data import Binarizer, DataSet
from pyro_vae.models import Model
from pyro_vae.run_pictures import figures_of
from pyro_vae.runs import RunFolder


def figure_bytes(figure: Figure, kind: str = "png") -> bytes:
    """The file of a figure, in a format that matplotlib writes."""
    content = io.BytesIO()
    figure.savefig(content, dpi=110, format=kind)
    return content.getvalue()


def save_figure(folder: RunFolder, name: str, figure: Figure) -> None:
    """Write ``figures/NAME.png`` whole."""
    folder.write_figure(name, figure_bytes(figure))


def draw(model: Model, guide: Guide, data: DataSet, binarizer: Binarizer, folder: RunFolder) -> None:
    """Draw all pictures of a run (:mod:`pyro_vae.run_pictures`)."""
    for name, figure in figures_of(model, guide, data, binarizer).items():
        save_figure(folder, name, figure)
