"""Where images come from: named data sets, arrays on disk, folders of pictures.

The named ones are in :mod:`pyro_vae.data.sets`, one file each; README.md lists them. A ``.npy`` or ``.npz`` file, or
a folder of pictures, may have any height, width and number of channels: N x H x W, N x C x H x W or N x H x W x C. It
is cut into 80 % for training, 10 % for validation and 10 % for the test.

A ``.npz`` file holds images ``x`` and optional labels ``y``. It may instead hold ``x_train``, ``y_train``, ``x_test``,
``y_test`` and optional ``x_validation`` and ``y_validation``: then these splits are used (without ``x_validation``,
validation is the last tenth of the training images). Labels are whole numbers or text; they are numbered 0, ..., C - 1
in ascending order, and the run keeps the label of each number. A label of -1 is unknown.

In an array with four axes, the one end that is 1, 3 or 4 (or 2) is the channels; if both ends or neither could be,
``--layout`` must say which. For folders of pictures see :func:`~pyro_vae.data.folder.folder_images`.

The splits never change. If the data set has test images, they are the test split, and the validation images are the
last 5,000 of its training images; otherwise one permutation (NumPy's PCG64, seed 0) is cut into test, validation and
train, in this order. Whole numbers of 8 bits are divided by 255, those of 16 bits by 65,535; floating-point arrays are
not changed.
"""

from pyro_vae.data.batches import Batch, Batches
from pyro_vae.data.images import Binarizer, DataSet, Images, Stored, binarize, rows_at_once
from pyro_vae.data.labels import few, hide_labels, join_labelled
from pyro_vae.data.layout import Layout
from pyro_vae.data.memory import MEMORY, InMemory, images_of, is_in_memory
from pyro_vae.data.sets import data_sets
from pyro_vae.data.sources import is_array_file, load_data, read_rows

__all__ = [
    "MEMORY",
    "Batch",
    "Batches",
    "Binarizer",
    "DataSet",
    "Images",
    "InMemory",
    "Layout",
    "Stored",
    "binarize",
    "data_sets",
    "few",
    "hide_labels",
    "images_of",
    "is_array_file",
    "is_in_memory",
    "join_labelled",
    "load_data",
    "read_rows",
    "rows_at_once",
]
