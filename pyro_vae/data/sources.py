"""From a name or a path to a data set."""

import os
from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch

from pyro_vae.data.images import DataSet, Images, described
from pyro_vae.errors import InputError

NO_NETWORK = "--data digits needs no download"
FREY_URL = "https://cs.nyu.edu/~roweis/data/frey_rawface.mat"
CHANNELS = (1, 3, 4)  #: gray, RGB, RGB with opacity
PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}


def default_root() -> Path:
    """Where downloads are kept: PYRO_VAE_DATA, else a folder of the user's cache."""
    if "PYRO_VAE_DATA" in os.environ:
        return Path(os.environ["PYRO_VAE_DATA"])
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pyro_vae"


def load_data(name: str, root: Path | None = None, validation: int | None = None) -> DataSet:
    """The data set of this name, or the one in this file or folder.

    Args:
        name: a name of :data:`DATA_SETS`, or the path of a ``.npy`` or ``.npz`` file or of a folder of pictures.
        root: where downloaded files are looked for and kept; by default :func:`default_root`.
        validation: how many of the validation images stay out of training; None keeps all of them out, 0 trains on
            them as well, as some published protocols do (they are then no longer unseen).

    Raises:
        InputError: where there is no such data, it cannot be downloaded, or its images are not fit to train on.
    """
    root = default_root() if root is None else root
    if name in DATA_SETS:
        train, held_out, test, likelihood = DATA_SETS[name](name, root)
    elif Path(name).is_dir():
        train, held_out, test, likelihood = _split(_folder(Path(name)), name)
    elif Path(name).suffix in (".npy", ".npz"):
        train, held_out, test, likelihood = _array_splits(Path(name))
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


def _give(train: Images, held_out: Images, keep: int) -> tuple[Images, Images]:
    """Both splits after the first images of ``held_out`` went to training."""
    given = held_out.take(np.arange(len(held_out) - keep))
    kept = held_out.take(np.arange(len(held_out) - keep, len(held_out))) if keep else held_out
    rows = np.concatenate([s.rows if s.rows is not None else np.arange(len(s)) for s in (train, given)])
    labels = None if train.labels is None or given.labels is None else torch.cat([train.labels, given.labels])
    return Images(train.pixels, train.divisor, labels, rows), kept


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
    # So small a picture is its gray values: binarised, few of these digits can still be read.
    return _split(images, name, validation=250, test=250)


def _torchvision(name: str, root: Path) -> Splits:
    class_name = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}[name]
    try:
        from torchvision import datasets
    except (ImportError, RuntimeError) as error:
        # A torchvision built for another torch fails with: operator torchvision::nms does not exist.
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
    # torchvision's errors go on over several lines, a part for each mirror.
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
    except Exception as error:  # whatever is wrong with the file, scipy has many words for it
        raise InputError(f"{path} is not the Frey Faces file: {error}") from error
    images = Images(faces, 255.0)
    return _split(images, name, validation=200, test=200)


def _array_splits(path: Path) -> Splits:
    """Splits of the file's own, where it names them as Keras does (x_train, y_train, x_test, ...), else made here."""
    try:
        loaded: Any = np.load(path, mmap_mode="r" if path.suffix == ".npy" else None, allow_pickle=False)
        if path.suffix == ".npy":
            return _split(_images(loaded, None, str(path)), str(path))
        arrays = {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise InputError(f"{path} cannot be read as an array: {error}") from error
    if "x_train" not in arrays or "x_test" not in arrays:
        x, y = (
            next((arrays[key] for key in keys if key in arrays), None)
            for keys in (("x", "images", "data", "arr_0"), ("y", "labels", "targets"))
        )
        if x is None:
            raise InputError(f"{path} holds {', '.join(arrays) or 'nothing'}; the images must be called x or images")
        return _split(_labelled(x, y, path), str(path))
    train, test = (_labelled(arrays[f"x_{part}"], arrays.get(f"y_{part}"), path) for part in ("train", "test"))
    if "x_validation" in arrays:
        validation = _labelled(arrays["x_validation"], arrays.get("y_validation"), path)
    else:
        rows = np.arange(len(train))
        held_out = max(1, len(train) // 10)
        train, validation = train.take(rows[:-held_out]), train.take(rows[-held_out:])
    if len({(part.image_shape, part.pixels.dtype) for part in (train, validation, test)}) > 1:
        raise InputError(f"{path}: its splits hold images of different shapes or types")
    return train, validation, test, "Bernoulli" if train.pixels.dtype == bool else "Gaussian"


def _labelled(x: np.ndarray, y: np.ndarray | None, path: Path) -> Images:
    """Images with the labels that belong to them."""
    images = _images(x, None, str(path))
    if y is None:
        return images
    if y.shape != (len(images),) or y.dtype.kind not in "iub":
        raise InputError(f"{path} holds labels {y.dtype} {y.shape}; needed is a whole number for each image")
    return replace(images, labels=torch.from_numpy(y.astype(np.int64)))


def _images(array: np.ndarray, labels: torch.Tensor | None, name: str) -> Images:
    """An array of any usual layout as images ``(N, C, H, W)``.

    Raises:
        InputError: where the array's shape or type is not one of images.
    """
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[-1] in CHANNELS and array.shape[1] not in CHANNELS:
        array = np.moveaxis(array, -1, 1)
    elif array.ndim == 4 and {array.shape[1], array.shape[-1]} in ({3, 4}, {1, 3}, {1, 4}):
        raise InputError(f"{name} has shape {array.shape}, whose channels may come first or last: move them first")
    elif array.ndim != 4:
        raise InputError(f"{name} has shape {array.shape}; images are N x H x W, N x C x H x W or N x H x W x C")
    if array.size == 0:
        raise InputError(f"{name} is empty: its shape is {array.shape}")
    if array.dtype == np.uint8:
        return Images(array, 255.0, labels)
    if array.dtype in (bool, np.float16, np.float32, np.float64) and array.dtype.isnative:
        return Images(array, 1.0, labels)
    raise InputError(f"{name} holds {array.dtype.str}; images are uint8, bool, or float16, 32 or 64 of this machine")


def _folder(path: Path) -> Images:
    from PIL import Image, UnidentifiedImageError

    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in PICTURES and file.is_file())
    if not files:
        raise InputError(f"there is no picture in {path}; looked for {', '.join(sorted(PICTURES))}")
    pictures = []
    for file in files:
        try:
            with Image.open(file) as picture:
                if picture.mode in ("I", "F"):
                    raise InputError(f"{file} has pixels of mode {picture.mode}, whose range is not known")
                if picture.mode.startswith("I;16"):
                    pictures.append(np.asarray(picture, dtype=np.float32) / 65535)
                else:
                    pictures.append(np.asarray(picture.convert("L" if picture.mode in ("1", "L") else "RGB")))
        except (OSError, UnidentifiedImageError) as error:
            raise InputError(f"{file} cannot be read as a picture: {error}") from error
        if pictures[-1].shape != pictures[0].shape or pictures[-1].dtype != pictures[0].dtype:
            first, this = ((p.shape, str(p.dtype)) for p in (pictures[0], pictures[-1]))
            raise InputError(f"pictures must be of one size and kind: {files[0].name} is {first}, {file.name} {this}")
    # A folder of folders is a labelled set, as for torchvision's ImageFolder.
    classes = sorted({file.parent for file in files})
    labels = torch.tensor([classes.index(file.parent) for file in files]) if len(classes) > 1 else None
    stacked = np.stack(pictures)
    return _images(np.moveaxis(stacked, -1, 1) if stacked.ndim == 4 else stacked, labels, str(path))


DATA_SETS: dict[str, Callable[[str, Path], Splits]] = {
    "digits": _digits,
    "mnist": _torchvision,
    "fashion_mnist": _torchvision,
    "kmnist": _torchvision,
    "frey_faces": _frey_faces,
}
