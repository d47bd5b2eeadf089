"""Files that say more than they hold, or are something else than their name says: one line each."""

import io
import os
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from pyro_vae.data import load_data
from pyro_vae.errors import InputError
from pyro_vae.runs import RunFolder


def npy(shape, version=(1, 0), length=None) -> bytes:
    """A ``.npy`` file with any shape in its header."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    count = len(text) if length is None else length
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H" if version[0] == 1 else "<I", count) + text + bytes(64)


def npz(change=lambda content: content, **members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return change(file.getvalue())


def with_field(at: int, value: int):
    """A change of a field of every member: its flags, or how it is packed."""

    def change(content: bytes) -> bytes:
        changed = bytearray(content)
        for mark, shift in ((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)):
            struct.pack_into("<H", changed, content.index(mark) + at + shift, value)
        return bytes(changed)

    return change


GOOD = io.BytesIO()
np.save(GOOD, np.random.default_rng(0).random((40, 4, 4), np.float32))
DAMAGED = {
    "a.npy": [
        npz(x=GOOD.getvalue()),
        npy((-40, 6, 6)),
        npy((2**63 - 1, 28, 28)),
        npy((True, 6, 6)),
        npy((10**30,)),
        npy((40, 4, 4), (2, 0), 2**32 - 1),
        b"",
        GOOD.getvalue()[:200],
    ],
    "a.npz": [
        GOOD.getvalue(),
        npz(x=b"no array"),
        npz(x=npy((10**6, 10**6, 10**3))),
        npz(x=npy((40, 4, 4), (2, 0), 2**32 - 1)),
        npz(with_field(6, 1), x=GOOD.getvalue()),  # encrypted
        npz(with_field(8, 99), x=GOOD.getvalue()),  # packed in an unknown way
        npz(x=GOOD.getvalue())[:300],
        npz(),
    ],
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_array_is_one_line(name, tmp_path):
    for content in DAMAGED[name]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError) as error:
            load_data(str(tmp_path / name))
        assert "\n" not in str(error.value)
        assert str(tmp_path / name) in str(error.value)


def test_what_an_archive_unpacks_to_is_known_before_it_is_read(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((40, 4, 4)), unused=np.zeros(10**6))
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 10**4}))
    with pytest.raises(InputError, match=r"nothing to learn"):  # what is no image and no label counts not
        load_data(str(tmp_path / "a.npz"))
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 10**3}))
    with pytest.raises(InputError, match=r"unpacks to 0\.0 GB, .* save its images as a \.npy file"):
        load_data(str(tmp_path / "a.npz"))


def test_a_picture_bomb_is_one_line(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
    good = (tmp_path / "a.png").read_bytes()
    for side in (20_000, 30_000, 2**31 - 1):
        (tmp_path / "a.png").write_bytes(good[:16] + struct.pack(">II", side, side) + good[24:])
        with pytest.raises(InputError, match=r"a\.png cannot be read as a picture"):
            load_data(str(tmp_path))


def test_permission_denied_is_called_that(tmp_path, monkeypatch):
    folder = tmp_path / "r"
    folder.mkdir()
    (folder / "config.yaml").write_text("a: 1")
    opened = io.open

    def refused(path, *given, **named):
        if str(path).startswith(str(tmp_path)):
            raise PermissionError(13, os.strerror(13), str(path))
        return opened(path, *given, **named)

    monkeypatch.setattr("io.open", refused)
    with pytest.raises(InputError, match=r"config.yaml cannot be read: Permission denied"):
        RunFolder(folder).config_text()
    monkeypatch.undo()

    def closed(self):
        raise PermissionError(13, os.strerror(13), str(self))

    monkeypatch.setattr("pathlib.Path.iterdir", closed)
    with pytest.raises(InputError, match=r"there is no picture in .* \(Permission denied\)"):
        load_data(str(folder))
