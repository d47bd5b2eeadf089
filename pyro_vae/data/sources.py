"""From a name or a path to a data set."""

import os
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import torch

from pyro_vae.data.arrays import read_arrays
from pyro_vae.data.folder import folder_images
from pyro_vae.data.images import DataSet, Images, described
from pyro_vae.data.layout import Layout
from pyro_vae.defaults import torch_defaults
from pyro_vae.errors import InputError

NO_NETWORK = "--data digits needs no download"
FREY_URL = "https://cs.nyu.edu/~roweis/data/frey_rawface.mat"


def default_root() -> Path:
    """The folder of downloads: PYRO_VAE_DATA, or a folder in the user's cache."""
    if "PYRO_VAE_DATA" in os.environ:
        return Path(os.environ["PYRO_VAE_DATA"])
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pyro_vae"


@torch_defaults()
def load_data(name: str, root: Path | None = None, validation: int | None = None, layout: Layout = "auto") -> DataSet:
    """The data set of this name, or the one in this file or folder.

    Args:
        name: a name of :data:`DATA_SETS`, or the path of a ``.npy`` or ``.npz`` file or of a folder of pictures.
        root: the folder of downloaded files; by default :func:`default_root`.
        validation: the number of validation images that stay out of training. None keeps all out; 0 trains on all of
            them, as some published protocols do (they are then no longer unseen).
        layout: of an array file with four axes: N x C x H x W is channels_first, N x H x W x C channels_last; auto
            reads it from the shape.

    Raises:
        InputError: if there is no such data, the download fails, or its images are not fit to train on.
    """
    root = default_root() if root is None else root
    array = is_array_file(name)
    if layout != "auto" and not array:
        raise InputError(f"--layout says which axis of an array file holds the channels, and {name} is no such file")
    if name in DATA_SETS:
        train, held_out, test, likelihood = DATA_SETS[name](name, root)
    elif Path(name).is_dir():
        train, held_out, test, likelihood = _split(folder_images(Path(name)), name)
    elif array:
        train, held_out, test, likelihood = _array_splits(Path(name), layout)
    else:
        near = get_close_matches(name, DATA_SETS, n=3, cutoff=0.4) or list(DATA_SETS)
        raise InputError(
            f"no data set {name!r}: nearest are {', '.join(near)}; or name a .npy or .npz file or a folder"
        )
    if validation is not None:
        if not 0 <= validation <= len(held_out):
            raise InputError(f"{name} has {len(held_out)} validation images, so --validation cannot be {validation}")
        train, held_out = _give(train, held_out, validation)
    return described(name, train, held_out, test, likelihood)


def is_array_file(name: str) -> bool:
    """Whether a data set's name is the path of a ``.npy`` or ``.npz`` file."""
    return name not in DATA_SETS and Path(name).suffix in (".npy", ".npz") and not Path(name).is_dir()


def _give(train: Images, held_out: Images, keep: int) -> tuple[Images, Images]:
    """Both splits after the first images of ``held_out`` move to training."""
    given = held_out.take(np.arange(len(held_out) - keep))
    kept = held_out.take(np.arange(len(held_out) - keep, len(held_out))) if keep else held_out
    rows = np.concatenate([s.rows if s.rows is not None else np.arange(len(s)) for s in (train, given)])
    labels = None if train.labels is None or given.labels is None else torch.cat([train.labels, given.labels])
    return Images(train.pixels, train.divisor, labels, rows, classes=train.classes), kept


Splits = tuple[Images, Images, Images, str]


def _split(images: Images, name: str, validation: int | None = None, test: int | None = None) -> Splits:
    """A fixed permutation of the images, cut into test, validation and train."""
    count = len(images)
    if count < 20:
        raise InputError(f"{name}: {count} images are too few; at least 20 are needed to be split")
    test = count // 10 if test is None else test
    validation = count // 10 if validation is None else validation
    order = np.random.default_rng(0).permutation(count)
    rows = [np.sort(part) for part in np.split(order, [test, test + validation])]
    likelihood = "Bernoulli" if images.pixels.dtype == bool else "Gaussian"
    return images.take(rows[2]), images.take(rows[1]), images.take(rows[0]), likelihood


def _digits(name: str, root: Path) -> Splits:
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = digits.images.astype(np.uint8)[:, None]
    images = Images(pixels, 16.0, torch.from_numpy(digits.target))
    # Such small pictures need their gray values: binarised, few of these digits can still be read.
    return _split(images, name, validation=250, test=250)


def _torchvision(name: str, root: Path) -> Splits:
    class_name = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}[name]
    try:
        from torchvision import datasets
    except (ImportError, RuntimeError) as error:
        # A torchvision for another torch fails with: operator torchvision::nms does not exist.
        raise InputError(
            f"{name} is read by torchvision, which does not import beside this torch ({str(error).splitlines()[0]}):"
            f" install the torchvision that belongs to torch {torch.__version__}; {NO_NETWORK}"
        ) from error
    source = getattr(datasets, class_name)

    def part(train: bool) -> Images:
        try:
            found = source(root, train=train, download=False)
        except Exception as absent:
            if "not found" not in str(absent):  # whatever torchvision finds wrong in a file that is there
                raise InputError(f"the files of {name} in {root} are damaged: {_last_line(absent)}") from absent
            try:
                found = source(root, train=train, download=True)
            except (OSError, RuntimeError) as error:
                tried = " and ".join(source.mirrors)
                files = ", ".join(file.removesuffix(".gz") for file, _ in source.resources)
                raise InputError(
                    f"{name} is not in {root} and could not be downloaded from {tried} ({_last_line(error)}):"
                    f" put {files} into {root / class_name / 'raw'}, or name the folder above with --data-root;"
                    f" {NO_NETWORK}"
                ) from error
        return Images(found.data.numpy()[:, None], 255.0, found.targets)

    both, test = part(True), part(False)
    rows = np.arange(len(both))
    return both.take(rows[:-5000]), both.take(rows[-5000:]), test, "Bernoulli"


def _last_line(error: Exception) -> str:
    # torchvision's errors have several lines, one part for each mirror.
    return str(error).strip(" :()\n").splitlines()[-1]


def _frey_faces(name: str, root: Path) -> Splits:
    from scipy.io import loadmat

    path = root / "frey_rawface.mat"
    if not path.exists():
        try:
            root.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(FREY_URL, str(path))
        except OSError as error:
            raise InputError(
                f"{name} is not in {root} and could not be downloaded from {FREY_URL} ({error}):"
                f" put frey_rawface.mat into {root}, or name its folder with --data-root; {NO_NETWORK}"
            ) from error
    try:
        faces = loadmat(path)["ff"].T.reshape(-1, 1, 28, 20)
    except Exception as error:  # scipy raises many errors for a damaged file
        raise InputError(f"{path} is not the Frey Faces file: {error}") from error
    images = Images(faces, 255.0)
    return _split(images, name, validation=200, test=200)


def _array_splits(path: Path, layout: str) -> Splits:
    """The file's own splits if they have Keras' names (x_train, y_train, x_test, ...); otherwise they are made here."""
    images, splits = read_arrays(path, layout)
    if splits is None:
        assert images is not None
        return _split(images, str(path))
    train, validation, test = splits
    if validation is None:
        rows = np.arange(len(train))
        held_out = max(1, len(train) // 10)
        train, validation = train.take(rows[:-held_out]), train.take(rows[-held_out:])
    return train, validation, test, "Bernoulli" if train.pixels.dtype == bool else "Gaussian"


DATA_SETS: dict[str, Callable[[str, Path], Splits]] = {
    "digits": _digits,
    "mnist": _torchvision,
    "fashion_mnist": _torchvision,
    "kmnist": _torchvision,
    "frey_faces": _frey_faces,
}
