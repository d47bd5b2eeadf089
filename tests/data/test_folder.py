"""Folders of pictures: each picture as a viewer shows it, and none that the user did not put there."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pyro_vae.data import load_data
from pyro_vae.data.folder import folder_images
from pyro_vae.errors import InputError

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (4, 6), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (4, 6, 3), dtype=np.uint8)
OPACITY = RNG.integers(0, 255, (4, 6), dtype=np.uint8)


def read(folder: Path) -> np.ndarray:
    """The pictures of a folder as ``(N, C, H, W)``, numbers as they are stored."""
    return np.asarray(folder_images(folder).pixels)


def channels(*parts: np.ndarray) -> np.ndarray:
    return np.concatenate([part[..., None] if part.ndim == 2 else part for part in parts], -1).transpose(2, 0, 1)


def test_pictures_that_differ_in_opacity_alone_differ(tmp_path):
    for i in range(25):
        pixels = np.full((8, 8, 4), 90, np.uint8)
        pixels[..., 3] = 10 * i
        Image.fromarray(pixels).save(tmp_path / f"{i:02}.png")
    data = load_data(str(tmp_path))
    assert data.image_shape == (4, 8, 8)
    assert len(torch.unique(torch.cat(list(data.train.chunks(5))), dim=0)) == len(data.train)


def test_opacity_joins_all_pictures_where_one_has_it_and_none_where_all_are_opaque(tmp_path):
    for i in range(2):
        Image.fromarray(np.dstack([COLOUR, np.full((4, 6), 255, np.uint8)])).save(tmp_path / f"{i}.png")
    np.testing.assert_array_equal(read(tmp_path), [channels(COLOUR)] * 2)
    Image.fromarray(np.dstack([COLOUR, OPACITY])).save(tmp_path / "2.png")
    Image.fromarray(COLOUR).save(tmp_path / "3.png")
    opaque = channels(COLOUR, np.full((4, 6), 255, np.uint8))
    np.testing.assert_array_equal(read(tmp_path), [opaque, opaque, channels(COLOUR, OPACITY), opaque])


def saved(kind: str, path: Path) -> np.ndarray:
    """Save a picture of this kind; what it must be read as, channels first."""
    black = np.where(GRAY > 127, 255, 0).astype(np.uint8)
    wide = (GRAY.astype(np.uint16) << 8) + 7
    name = str(path / "a.png")
    if kind == "gray":
        Image.fromarray(GRAY).save(name)
        return channels(GRAY)
    if kind == "gray with opacity":
        Image.fromarray(np.dstack([GRAY, OPACITY])).save(name)
        return channels(GRAY, OPACITY)
    if kind == "one bit":
        Image.fromarray(black).convert("1").save(name)
        return channels(black)
    if kind == "gray with a transparent value":
        Image.fromarray(GRAY).save(name, transparency=int(GRAY[0, 0]))
        return channels(GRAY, np.where(GRAY[0, 0] == GRAY, 0, 255).astype(np.uint8))
    if kind == "16 bits":
        Image.fromarray(wide).save(name)
        return channels(wide)
    if kind == "16 bits, big-endian":
        Image.fromarray(wide.astype(">u2")).save(path / "a.tif")
        return channels(wide)
    if kind == "palette":
        numbers = RNG.integers(0, 4, (4, 6), dtype=np.uint8)
        palette = RNG.integers(0, 256, (4, 3), dtype=np.uint8)
        picture = Image.fromarray(numbers).convert("L")
        picture.putpalette(palette.tobytes())
        picture.save(name)
        return channels(palette[numbers])
    if kind == "palette with transparency":
        numbers = RNG.integers(0, 4, (4, 6), dtype=np.uint8)
        palette = RNG.integers(0, 256, (4, 3), dtype=np.uint8)
        picture = Image.fromarray(numbers)
        picture.putpalette(palette.tobytes())
        picture.save(name, transparency=bytes([255, 40, 0, 255]))
        return channels(palette[numbers], np.array([255, 40, 0, 255], np.uint8)[numbers])
    assert kind == "CMYK"
    Image.fromarray(np.dstack([COLOUR, np.zeros((4, 6), np.uint8)]), "CMYK").save(path / "a.tif")
    return channels(255 - COLOUR)


KINDS = [
    "gray",
    "gray with opacity",
    "one bit",
    "gray with a transparent value",
    "16 bits",
    "16 bits, big-endian",
    "palette",
    "palette with transparency",
    "CMYK",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
def test_a_picture_of_every_kind_is_read_as_it_is_shown(tmp_path, kind):
    expected = saved(kind, tmp_path)
    images = folder_images(tmp_path)
    np.testing.assert_array_equal(images.pixels[0], expected)
    assert images.divisor == (65535 if kind.startswith("16") else 255)
    shown = images.batch(slice(0, 1))[0]
    np.testing.assert_array_equal(shown.numpy(), expected.astype(np.float32) / np.float32(images.divisor))


@pytest.mark.parametrize("tag", range(1, 9))
def test_a_picture_is_turned_as_its_exif_tag_says(tmp_path, tag):
    """The inverse of each of the eight orientations, applied here, is undone."""
    turned = {
        1: COLOUR,
        2: COLOUR[:, ::-1],
        3: COLOUR[::-1, ::-1],
        4: COLOUR[::-1],
        5: COLOUR.transpose(1, 0, 2),
        6: np.rot90(COLOUR, 1),
        7: np.rot90(COLOUR.transpose(1, 0, 2), 2),
        8: np.rot90(COLOUR, -1),
    }[tag]
    exif = Image.Exif()
    exif[0x0112] = tag
    Image.fromarray(np.ascontiguousarray(turned)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read(tmp_path)[0], channels(COLOUR))


def test_photographs_that_a_camera_turned_are_upright(tmp_path):
    for i, tag in enumerate([1, 3, 6, 8] * 7):
        upright = np.zeros((16, 16, 3), np.uint8)
        upright[:8] = 200 + i
        stored = np.rot90(upright, {1: 0, 3: 2, 6: 1, 8: 3}[tag])
        exif = Image.Exif()
        exif[0x0112] = tag
        Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / f"{i:02}.jpg", exif=exif)
    pixels = read(tmp_path).astype(float)
    assert (pixels[:, :, :8].mean((1, 2, 3)) > pixels[:, :, 8:].mean((1, 2, 3)) + 100).all()


def test_what_the_user_did_not_put_there_is_left_out(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(15):
            Image.fromarray(GRAY + i).save(tmp_path / name / f"{i}.png")
    hidden = [
        "a/.ipynb_checkpoints/0-checkpoint.png",
        "a/._0.png",
        "__MACOSX/a/0.png",
        ".thumbs/0.png",
        "b/@eaDir/0.png",
    ]
    for name in hidden:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(GRAY).save(tmp_path / name)
    (tmp_path / "a" / "._1.png").write_bytes(b"Mac OS X, no picture")
    images = folder_images(tmp_path)
    assert len(images) == 30
    assert images.classes == ("a", "b")
    assert images.labels.bincount().tolist() == [15, 15]


def test_a_folder_whose_own_path_is_hidden_is_read(tmp_path):
    folder = tmp_path / ".cache" / "pictures"
    folder.mkdir(parents=True)
    Image.fromarray(GRAY).save(folder / "a.png")
    assert len(folder_images(folder)) == 1


@pytest.mark.parametrize("suffix", ["tif", "gif", "png", "webp"])
def test_every_page_of_a_file_is_a_picture(tmp_path, suffix):
    pages = [np.full((8, 8), 20 * page, np.uint8) for page in range(10)]
    first, *rest = [Image.fromarray(page) for page in pages]
    options = {"webp": {"lossless": True, "duration": 40}, "gif": {"duration": 40}, "png": {"duration": 40}}
    for i in range(3):
        first.save(tmp_path / f"{i}.{suffix}", save_all=True, append_images=rest, **options.get(suffix, {}))
    read_in = read(tmp_path)
    assert len(read_in) == 30
    np.testing.assert_array_equal(read_in, np.stack(pages * 3)[:, None].repeat(read_in.shape[1], 1))
    assert len(load_data(str(tmp_path)).train) == 24


def test_the_picture_for_viewers_without_animation_is_no_page(tmp_path):
    pages = [Image.fromarray(np.full((8, 8), value, np.uint8)) for value in (7, 50, 90)]
    pages[0].save(tmp_path / "a.png", save_all=True, append_images=pages[1:], default_image=True)
    assert read(tmp_path)[:, 0, 0, 0].tolist() == [50, 90]


def test_pages_of_other_sizes_and_unknown_ranges_are_refused(tmp_path):
    small = Image.fromarray(GRAY)
    small.save(tmp_path / "a.tif", save_all=True, append_images=[Image.fromarray(GRAY.T.copy())])
    with pytest.raises(InputError, match=r"of one size and kind: .*: --image-size 32, or HxW, resizes them"):
        folder_images(tmp_path)
    (tmp_path / "a.tif").unlink()
    Image.fromarray(GRAY.astype(np.float32)).save(tmp_path / "b.tif")
    with pytest.raises(InputError, match="mode F, whose range is not known"):
        folder_images(tmp_path)


def test_a_damaged_picture_is_named_in_one_line(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    for cut in (20, 50, len(whole) // 2):
        (tmp_path / "a.png").write_bytes(whole[:cut])
        with pytest.raises(InputError, match=r"^\S*a.png cannot be read as a picture: [^\n]*$"):
            folder_images(tmp_path)
