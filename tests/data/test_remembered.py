"""A long look through the data is taken once: the user's cache remembers what it found, under the file's identity."""

import os
import time
from importlib import import_module

import numpy as np
import pytest
from PIL import Image

from pyro_vae.data import load_data, looking
from pyro_vae.data.fingerprint import fingerprint
from pyro_vae.heartbeat import told
from pyro_vae.user_cache import cache_folder


@pytest.fixture
def _small(monkeypatch):
    """Files of any size are worth remembering."""
    monkeypatch.setattr("pyro_vae.data.remembered.SMALLEST", 1)
    monkeypatch.setattr("pyro_vae.data.remembered.MANY", 10)


def old(path):
    """Make a file older than a tick of the clock."""
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns - 5 * 10**9))


def noted(whole, name, taken):
    def work(*given):
        taken.append(name)
        return whole(*given)

    return work


def looks(monkeypatch) -> list[str]:
    """The names of the looks through all images, and of the digests, from now on."""
    taken: list[str] = []
    digests = import_module("pyro_vae.data.fingerprint")
    for module, name in ((looking, "_looked_through"), (digests, "_digest")):
        monkeypatch.setattr(module, name, noted(getattr(module, name), name, taken))
    return taken


@pytest.mark.usefixtures("_small")
def test_a_file_is_looked_through_and_digested_once(tmp_path, monkeypatch):
    path = tmp_path / "x.npy"
    np.save(path, np.random.default_rng(0).random((60, 4, 4), np.float32))
    old(path)
    taken = looks(monkeypatch)
    first = load_data(str(path))
    mark = fingerprint(first)
    assert taken == ["_looked_through", "_digest"]
    again = load_data(str(path))
    assert fingerprint(again) == mark
    assert taken == ["_looked_through", "_digest"]
    assert (again.low, again.high) == (first.low, first.high)
    assert (again.mean_image == first.mean_image).all()
    load_data(str(path), validation=3)  # another split has another mean
    assert taken.count("_looked_through") == 2


@pytest.mark.usefixtures("_small")
def test_a_changed_or_young_file_is_looked_through_again(tmp_path, monkeypatch):
    path = tmp_path / "x.npy"
    np.save(path, np.random.default_rng(0).random((60, 4, 4), np.float32))
    taken = looks(monkeypatch)
    load_data(str(path)), load_data(str(path))  # it could be written again without another time
    assert len(taken) == 2
    old(path)
    load_data(str(path)), load_data(str(path))
    assert len(taken) == 3
    np.save(path, np.full((60, 4, 4), np.nan, np.float32))
    with pytest.raises(ValueError, match="NaN"):
        load_data(str(path))


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("content", [b"", b"[]", b'{"low": 0}', b'{"low": 0, "high": 1, "mean": "AAAA"}', b"\xff"])
def test_a_damaged_record_is_none(tmp_path, content):
    path = tmp_path / "x.npy"
    np.save(path, np.random.default_rng(0).random((60, 4, 4), np.float32))
    old(path)
    first = load_data(str(path))
    (record,) = (cache_folder() / "looks").glob(f"{first.known_as}.look.json")
    record.write_bytes(content)
    assert (load_data(str(path)).mean_image == first.mean_image).all()


@pytest.mark.usefixtures("_small")
def test_a_folder_of_pictures_is_decoded_once(tmp_path, monkeypatch):
    folder = tmp_path / "p"
    for i in range(30):
        place = folder / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), 8 * i, np.uint8)).save(place / f"{i:02}.png")
        old(place / f"{i:02}.png")
    first = load_data(str(folder))
    monkeypatch.setattr("pyro_vae.data.folder._pages", lambda file: pytest.fail("decoded again"))
    again = load_data(str(folder))
    assert isinstance(again.train.pixels, np.memmap)
    for split in ("train", "validation", "test"):
        before, after = getattr(first, split), getattr(again, split)
        np.testing.assert_array_equal(before.batch(slice(None)), after.batch(slice(None)))
        assert (before.labels == after.labels).all()
    assert first.classes == again.classes == ("a", "b")
    monkeypatch.undo()
    old_count = len(list((cache_folder() / "looks").glob("*.pixels.npy")))
    monkeypatch.setattr("pyro_vae.data.remembered.MANY", 10)
    Image.fromarray(np.full((4, 4), 3, np.uint8)).save(folder / "a" / "99.png")
    old(folder / "a" / "99.png")
    assert sum(map(len, (load_data(str(folder)).train, first.validation, first.test))) == 31
    assert len(list((cache_folder() / "looks").glob("*.pixels.npy"))) == old_count  # in place of the earlier one


def test_without_a_writable_cache_it_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr("pyro_vae.data.remembered.SMALLEST", 1)
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    path = tmp_path / "x.npy"
    np.save(path, np.random.default_rng(0).random((60, 4, 4), np.float32))
    old(path)
    assert load_data(str(path)).high == load_data(str(path)).high <= 1


def test_a_long_work_says_how_far_it_is():
    lines: list[str] = []
    with told(lines.append, "looking", silence=0.01) as at:
        at(0.5)
        while not lines:
            time.sleep(0.01)
    assert lines[0] == "looking: 50%"
    with told(None, "looking") as at:
        at(1.0)
