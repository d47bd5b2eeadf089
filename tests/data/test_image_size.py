"""Pictures of a folder brought to one size: what they become, and the line that says so."""

import numpy as np
import pytest
from PIL import Image

import pyro_vae
from pyro_vae.data.folder import read_folder
from pyro_vae.data.image_size import parse_size
from pyro_vae.errors import InputError
from pyro_vae.use import rows_of

RNG = np.random.default_rng(0)


def read(folder, size=None):
    lines: list[str] = []
    images, _ = read_folder(folder, lines.append, None if size is None else parse_size(size))
    return np.asarray(images.pixels), lines


def save(array, path):
    Image.fromarray(array).save(path)


def test_pictures_of_the_size_stay_as_they_are_and_others_are_told(tmp_path):
    own = RNG.integers(0, 256, (6, 4), dtype=np.uint8)
    save(own, tmp_path / "a.png")
    save(np.full((12, 8), 77, np.uint8), tmp_path / "b.png")
    save(np.full((3, 9), 200, np.uint8), tmp_path / "c.png")
    with pytest.raises(InputError, match="--image-size 32, or HxW, resizes them"):
        read(tmp_path)
    pixels, lines = read(tmp_path, "6x4")
    np.testing.assert_array_equal(pixels[0, 0], own)
    assert (pixels[1] == 77).all()
    assert (pixels[2] == 200).all()
    words = f"note: {tmp_path}: 2 of 3 pictures, of 3 x 9 to 12 x 8 pixels, are resized to 6 x 4"
    assert lines == [f"{words}; 1 of them are stretched"]
    assert read(tmp_path, "8")[0].shape == (3, 1, 8, 8)
    (tmp_path / "b.png").unlink(), (tmp_path / "c.png").unlink()
    assert read(tmp_path, "6x4")[1] == []


@pytest.mark.parametrize("kind", ["uint8", "uint16", "colour"])
def test_a_smaller_picture_is_a_mean_over_what_it_covers(tmp_path, kind):
    """Fine stripes become gray, and the mean of a picture stays."""
    most = 65535 if kind == "uint16" else 255
    stripes = np.zeros((64, 64), np.uint16 if kind == "uint16" else np.uint8)
    stripes[::2] = most
    noise = RNG.integers(0, most, (64, 64)).astype(stripes.dtype)
    for name, picture in (("a", stripes), ("b", noise)):
        save(np.dstack([picture] * 3) if kind == "colour" else picture, tmp_path / f"{name}.png")
    pixels = read(tmp_path, "8")[0].astype(float) / most
    assert pixels.shape == (2, 3 if kind == "colour" else 1, 8, 8)
    assert np.abs(pixels[0, :, 1:-1] - 0.5).max() < 0.03
    assert pixels[1].mean() == pytest.approx(noise.mean() / most, abs=0.01)


def test_what_is_transparent_gives_no_colour(tmp_path):
    """Opaque white beside transparent black: the middle is half as opaque, and still white."""
    picture = np.zeros((8, 8, 4), np.uint8)
    picture[:, :4] = 255
    for name in "ab":
        save(picture, tmp_path / f"{name}.png")
    pixels = read(tmp_path, "1")[0][0]
    assert pixels[:3].min() >= 254
    assert abs(int(pixels[3, 0, 0]) - 128) <= 2


@pytest.mark.parametrize("text", ["0", "-3", "x", "3x", "3x4x5", "5000", "3.5", ""])
def test_a_size_that_is_none_is_one_line(text):
    with pytest.raises(InputError, match="--image-size is H or HxW in pixels, up to 4,096"):
        parse_size(text)
    assert parse_size(48) == (48, 48)


def test_a_run_and_its_uses_resize_alike(tmp_path, train, capsys):
    for i in range(24):
        shape = (8, 8) if i % 2 else (16, 12)
        save(RNG.integers(0, 256, shape, dtype=np.uint8), tmp_path / f"{i:02}.png")
    out = train("run", "--data", str(tmp_path), "--image-size", "8x6", "--epochs", "1", "--batch-size", "8")
    assert "24 of 24 pictures, of 8 x 8 to 16 x 12 pixels, are resized to 8 x 6; 12 of them are stretched" in (
        capsys.readouterr().err
    )
    run = pyro_vae.load(out.path)
    assert run.model.image_shape == (1, 8, 6)
    assert "image_size: 8x6" in out.config_text()
    rows = rows_of(run, tmp_path)
    np.testing.assert_array_equal(rows.source.images, read(tmp_path, "8x6")[0])
    pyro_vae.resume(out.path, epochs=2, quiet=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 8}, "image_size resizes the pictures of a folder, and digits is none"),
        ({"image_size": "8x"}, "image_size is H or HxW in pixels"),
        ({"data": np.ones((30, 4, 4)), "image_size": "8x8"}, "image_size resizes the pictures of a folder, and memory"),
    ],
)
def test_a_size_without_a_folder_is_one_line(options, message, tmp_path):
    with pytest.raises(InputError, match=message):
        pyro_vae.train(**options, out=str(tmp_path / "run"))
