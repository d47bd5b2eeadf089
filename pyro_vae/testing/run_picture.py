"""``check_run_picture``: whether a picture of a run keeps its contract."""

import torch
from matplotlib.figure import Figure

from guides import MeanField, MLPEncoder
from pyro_vae.data import Binarizer, load_data
from pyro_vae.models import VAE, Gaussian, MLPDecoder, StandardNormal
from pyro_vae.pictures import figure_bytes
from pyro_vae.run_pictures import RunPicture, Subject, subject_of
from pyro_vae.seeds import forked, seeded
from pyro_vae.testing.context import looking_at, require


def check_run_picture(picture: RunPicture) -> None:
    """Raise an error that says what is wrong with a picture of a run; return None if nothing is.

    It is drawn twice of a model of scikit-learn's digits that is not trained, with two latent dimensions. Checked: its
    name, that it is a matplotlib figure or None, the same figure for the same random numbers, that the model is left as
    it was, and that it has words for the report.

    Args:
        picture: the declaration.

    Raises:
        AssertionError: if the picture breaks the contract.

    Example:
        >>> from pyro_vae.run_pictures import OWN
        >>> check_run_picture(OWN["manifold"])
    """
    require(isinstance(picture, RunPicture), f"it is a {type(picture).__name__}, which is no RunPicture")
    with looking_at(picture.name), forked(), torch.no_grad():
        require(picture.name.isidentifier(), "its name must be letters, digits and underscores")
        require(picture.name != "trace", "trace is the name of another picture")
        require(bool(picture.title and picture.alt), "the report needs its title and its alt")
        data = load_data("digits")
        torch.manual_seed(0)
        model = VAE(MLPDecoder(2, data.image_shape, [4]), Gaussian(data.image_shape), StandardNormal(2)).eval()
        guide = MeanField(MLPEncoder(data.image_shape, [4]), 2).eval()
        subject = subject_of(model, guide, data, Binarizer(False))
        assert subject is not None
        before = [value.clone() for part in (model, guide) for value in part.state_dict().values()]
        first = _drawn(picture, subject)
        require(first == _drawn(picture, subject), "it differs when it is drawn again with the same random numbers")
        after = [value for part in (model, guide) for value in part.state_dict().values()]
        require(all(map(torch.equal, before, after)), "it changes the model or the guide")


def _drawn(picture: RunPicture, subject: Subject) -> bytes:
    with seeded(1):
        figure = picture.draw(subject)
    require(figure is None or isinstance(figure, Figure), f"it draws a {type(figure).__name__}, no matplotlib Figure")
    return b"" if figure is None else figure_bytes(figure)
