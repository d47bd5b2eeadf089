"""The faces of Brendan Frey, which AEVB uses."""

from pathlib import Path

import torch

from pyro_vae.data.images import Images
from pyro_vae.data.sets.base import NO_NETWORK, NamedData
from pyro_vae.data.splits import Splits, split
from pyro_vae.errors import InputError

URL = "https://cs.nyu.edu/~roweis/data/frey_rawface.mat"


def read(root: Path) -> Splits:
    """All 1,965 of them, from one file."""
    from scipy.io import loadmat

    path = root / "frey_rawface.mat"
    if not path.exists():
        try:
            root.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(URL, str(path))
        except OSError as error:
            raise InputError(
                f"frey_faces is not in {root} and could not be downloaded from {URL} ({error}):"
                f" put frey_rawface.mat into {root}, or name its folder with --data-root; {NO_NETWORK}"
            ) from error
    try:
        faces = loadmat(path)["ff"].T.reshape(-1, 1, 28, 20)
    except Exception as error:  # scipy raises many errors for a damaged file
        raise InputError(f"{path} is not the Frey Faces file: {error}") from error
    images = Images(faces, 255.0)
    return split(images, "frey_faces", validation=200, test=200)


FREY_FACES = NamedData(
    name="frey_faces",
    read=read,
    likelihood="Gaussian",
    images=(1565, 200, 200),
    image_shape=(1, 28, 20),
    about="256 gray values; downloaded on first use",
)
