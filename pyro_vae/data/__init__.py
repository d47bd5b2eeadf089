"""Where images come from: named data sets, arrays on disk, folders of pictures.

========================= ======================= ============================ =====================================
name                      train, validation, test image                        source
========================= ======================= ============================ =====================================
``digits``                1,297 / 250 / 250       1 x 8 x 8, 17 gray values    inside scikit-learn, no network
``mnist``, ``kmnist``,    55,000 / 5,000 / 10,000 1 x 28 x 28, 256 gray values downloaded on first use
``fashion_mnist``
``frey_faces``            1,565 / 200 / 200       1 x 28 x 20, 256 gray values downloaded on first use
a ``.npy``, ``.npz`` file 80 % / 10 % / 10 %      any height, width, channels  N x H x W, N x C x H x W, N x H x W x C
or a folder of pictures
========================= ======================= ============================ =====================================

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
from pyro_vae.data.sources import DATA_SETS, is_array_file, load_data

__all__ = [
    "DATA_SETS",
    "Batch",
    "Batches",
    "Binarizer",
    "DataSet",
    "Images",
    "Layout",
    "Stored",
    "binarize",
    "few",
    "hide_labels",
    "is_array_file",
    "join_labelled",
    "load_data",
    "rows_at_once",
]
