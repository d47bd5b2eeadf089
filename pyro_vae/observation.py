"""What one x is, in a word: the metrics' words are of images, and where x is a row of a table they are of rows."""

import re
from collections.abc import Sequence
from math import prod


def observed(shape: Sequence[int]) -> str:
    """What one x of this shape is: "row" where all its values stand side by side, else "image".

    >>> observed((1, 28, 28)), observed((1, 1, 6)), observed((6,)), observed(())
    ('image', 'row', 'row', 'row')
    """
    return "row" if prod(shape[:-1]) == 1 else "image"


def spoken(text: str, one: str) -> str:
    """A text about images as one about what x is: :func:`observed` gives the word. A row has values, and no pixels.

    >>> spoken("Images move 2 directions of z, for 90% of the images", "row")
    'Rows move 2 directions of z, for 90% of the rows'
    >>> spoken("the fewest of an image", "row")
    'the fewest of a row'
    """
    words = {"image": one, "Image": one.capitalize()}
    if one == "row":
        words |= {"an image": "a row", "An image": "A row", "pixel": "value", "Pixel": "Value"}
    return re.sub(rf"\b({'|'.join(words)})(?=s?\b)", lambda found: words[found[1]], text)
