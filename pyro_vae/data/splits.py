"""How images that have no splits of their own are cut into three."""

import numpy as np

from pyro_vae.data.images import Images
from pyro_vae.errors import InputError

#: training, validation and test images
Splits = tuple[Images, Images, Images]


def split(images: Images, name: str, validation: int | None = None, test: int | None = None) -> Splits:
    """A fixed permutation of the images, cut into test, validation and train.

    Args:
        images: all of them.
        name: how an error calls them.
        validation, test: how many; by default a tenth of them each.

    Raises:
        InputError: where there are fewer than 20.
    """
    count = len(images)
    what = "images" if images.names is None else "rows"
    if count < 20:
        raise InputError(f"{name}: {count} {what} are too few; at least 20 are needed to be split")
    test = count // 10 if test is None else test
    validation = count // 10 if validation is None else validation
    order = np.random.default_rng(0).permutation(count)
    rows = [np.sort(part) for part in np.split(order, [test, test + validation])]
    return images.take(rows[2]), images.take(rows[1]), images.take(rows[0])
