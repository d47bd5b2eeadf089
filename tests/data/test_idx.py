"""Files of the format IDX."""

import os
import sys
from importlib import import_module

import numpy as np
import pytest
import torch

from pyro_vae.data import load_data, looking
from pyro_vae.data.fingerprint import fingerprint
from pyro_vae.data.idx import read_idx
from pyro_vae.data.torchvision import read_torchvision
from pyro_vae.errors import InputError


def idx(array, shape=None) -> bytes:
    shape = array.shape if shape is None else shape
    return bytes([0, 0, 8, len(shape)]) + np.array(shape, ">i4").tobytes() + array.astype(np.uint8).tobytes()


@pytest.fixture
def raw(tmp_path):
    """A folder like MNIST's, with 5,010 training images of 2 x 3 and 4 test images."""
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for part, count in (("train", 5010), ("t10k", 4)):
        images = np.arange(count * 6).reshape(count, 2, 3) % 251
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.arange(count) % 10))
    return folder


def test_files_that_are_there_are_read_without_torchvision(raw, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    train, validation, test = read_torchvision("mnist", "MNIST", tmp_path)
    assert [len(train), len(validation), len(test)] == [10, 5000, 4]
    first = torch.arange(60, 66).reshape(1, 1, 2, 3) / 255
    torch.testing.assert_close(validation.batch(slice(0, 1)), first, rtol=0, atol=0)
    assert validation.labels[:3].tolist() == [0, 1, 2]
    assert validation.labels.dtype == torch.int64


def test_a_look_through_them_is_taken_once_until_a_file_changes(raw, tmp_path, monkeypatch):
    monkeypatch.setattr("pyro_vae.data.remembered.SMALLEST", 1)
    for path in raw.iterdir():  # older than a tick of the clock
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 5))
    first = load_data("mnist", tmp_path)
    mark = fingerprint(first)
    with monkeypatch.context() as patch:
        patch.setattr(looking, "_looked_through", lambda *_: pytest.fail("looked through again"))
        patch.setattr(import_module("pyro_vae.data.fingerprint"), "_digest", lambda *_: pytest.fail("digested again"))
        again = load_data("mnist", tmp_path)
        assert fingerprint(again) == mark
    assert (again.low, again.high) == (first.low, first.high)
    assert first.high == pytest.approx(250 / 255)
    assert torch.equal(again.mean_image, first.mean_image)
    path = raw / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 4))
    changed = load_data("mnist", tmp_path)
    assert changed.high == 1
    assert fingerprint(changed) != mark


def test_a_damaged_file_is_named(raw, tmp_path):
    path = raw / "t10k-images-idx3-ubyte"
    whole = path.read_bytes()
    for content, words in (
        (b"", "is no IDX file of 3 axes"),
        (b"\0\0\x0d\3" + whole[4:], "is no IDX file of 3 axes"),
        (whole[:-1], "has not the length of the 4 x 2 x 3 values"),
        (idx(np.arange(18), (3, 2, 3)), "t10k has 3 images and 4 labels"),
        (idx(np.arange(24), (-4, 2, 3)), "has not the length"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"the files of mnist .* are damaged: .*{words}"):
            read_torchvision("mnist", "MNIST", tmp_path)


def test_it_reads_what_numpy_wrote(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (3, 4, 5))
    (tmp_path / "a").write_bytes(idx(array))
    np.testing.assert_array_equal(read_idx(tmp_path / "a", 3), array)
