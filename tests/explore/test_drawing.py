"""A drawing becomes an image like those of the data."""

import base64
from dataclasses import replace

import numpy as np
import pytest
import torch

from pyro_vae.data import Binarizer, load_data
from pyro_vae.errors import InputError
from pyro_vae.estimators import elbo
from pyro_vae.explore import look
from pyro_vae.explore.drawing import Style, as_image, style_of
from pyro_vae.explore.opened import Exhibit

MNIST = Style((28, 28), 20, 0.0, 1.0, 255)


def exhibit_of(data):
    return Exhibit((), data, data.test.batch(slice(0, 200)), None)


def stroke(top, left, height, width, side=160):
    ink = np.zeros((side, side))
    ink[top : top + height, left : left + width] = 1
    return ink


def test_the_style_is_measured_on_the_test_images():
    style = style_of(exhibit_of(load_data("digits")))
    assert (style.shape, style.longer, style.levels) == ((8, 8), 8, 16)


def test_the_style_of_mnist_is_its_makers(mnist_root):
    """LeCun et al. 1998: scaled into a box of 20 x 20 pixels, by centre of mass in 28 x 28."""
    style = style_of(exhibit_of(load_data("mnist", mnist_root)))
    assert (style.shape, style.longer, style.levels) == ((28, 28), 20, 255)
    assert (style.low, style.high) == (0, 1)


def test_drawings_for_truth_values_are_black_and_white():
    data = load_data("x", given=load_data("digits").train.batch(slice(None)).numpy() > 0.5)
    style = style_of(exhibit_of(data))
    assert style.levels == 1
    assert "It has 2 gray values" in style.words
    assert set(as_image(stroke(0, 0, 60, 24), style).gray.unique().tolist()) == {0.0, 1.0}


def test_images_without_an_empty_ground_have_no_style():
    data = load_data("digits")
    assert style_of(exhibit_of(data)) is not None
    full = replace(data, test=replace(data.test, pixels=16 - np.asarray(data.test.pixels)))
    assert style_of(exhibit_of(full)) is None
    coloured = Exhibit((), data, data.test.batch(slice(0, 20)).expand(-1, 3, -1, -1), None)
    assert style_of(coloured) is None


@pytest.mark.parametrize("place", [(0, 0), (20, 90), (100, 130)])
def test_place_and_size_of_a_drawing_do_not_matter(place):
    gray = as_image(stroke(*place, 60, 24), MNIST).gray
    assert torch.equal(gray, as_image(stroke(10, 10, 60, 24), MNIST).gray)
    rows, columns = (gray[0, 0] > 0.5).any(1).nonzero()[:, 0], (gray[0, 0] > 0.5).any(0).nonzero()[:, 0]
    assert (len(rows), len(columns)) == (20, 8)
    assert (rows[0], columns[0]) == (4, 10)


def test_the_centre_of_mass_is_the_middle_as_near_as_it_fits():
    ink = stroke(0, 0, 100, 10)
    ink[:20, :30] = 1  # heavy at the top and to the left
    gray = as_image(ink, MNIST).gray[0, 0]
    at = torch.arange(28) + 0.5
    assert abs((gray.sum(1) * at).sum() / gray.sum() - 14) <= 0.5
    assert abs((gray.sum(0) * at).sum() / gray.sum() - 14) <= 0.5
    small = as_image(ink, Style((8, 8), 8, 0.0, 1.0, 16)).gray
    assert (small[0, 0, 0] > 0).any()
    assert (small[0, 0, 7] > 0).any()
    assert torch.equal((small * 16).round(), small * 16)


def test_a_binary_model_sees_zeros_and_ones():
    class Seen:
        class subject:
            x = torch.zeros(1, 1, 28, 28)
            binarizer = Binarizer(True)

    drawn = as_image(stroke(0, 0, 60, 24), MNIST)
    assert set(drawn.seen(Seen).unique().tolist()) == {0.0, 1.0}
    assert torch.equal(drawn.seen(Seen), drawn.seen(Seen))


def test_an_empty_canvas_and_what_is_no_canvas_are_refused(client):
    with pytest.raises(InputError, match="the canvas is empty"):
        as_image(np.zeros((16, 16)), MNIST)
    for ink in ("", "?", base64.b64encode(bytes(300)).decode(), base64.b64encode(bytes(15**2)).decode(), None):
        assert "ink is" in client.ask("drawn", status=400, ink=ink)["error"]


def test_the_numbers_of_a_drawing_are_those_of_its_image(client, exhibit):
    raster = stroke(20, 60, 120, 20)
    ink = base64.b64encode((raster * 255).astype(np.uint8).tobytes()).decode()
    found = client.ask("drawn", ink=ink)
    image = as_image(raster, style_of(exhibit)).gray
    assert np.frombuffer(base64.b64decode(found["image"]["pixels"]), np.uint8).max() == 255
    of = exhibit.opened[0].run
    own = client.ask("own", run=0, drawn=found["drawn"])
    assert own["elbo"] == elbo(of.model, of.guide, image, look.ELBO_DRAWS).elbo.to_dict()
