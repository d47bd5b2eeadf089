"""A run belongs to its data, by their fingerprint."""

import os

import numpy as np
import pytest
from belongs_cases import line_of, measure, resume

from pyro_vae.data import load_data
from pyro_vae.data.fingerprint import fingerprint


def images(path, shift=0.0, count=60):
    np.save(path, 0.9 * np.random.default_rng(0).random((count, 4, 4)) + shift)


def test_changed_data_are_found_and_moved_or_touched_data_are_not(train, tmp_path, monkeypatch):
    images(tmp_path / "x.npy")
    folder = train("a", "--data", str(tmp_path / "x.npy"), "--batch-size", "20")
    images(tmp_path / "x.npy", shift=0.001)
    for command in (resume, measure):
        assert "x.npy has changed since" in line_of(command, folder.path)
    images(tmp_path / "x.npy", count=90)
    assert "x.npy has changed since" in line_of(resume, folder.path)
    images(tmp_path / "x.npy")  # the same images in a file of another time
    os.utime(tmp_path / "x.npy", (1, 1))
    measure(folder.path)
    resume(folder.path)
    (tmp_path / "x.npy").rename(tmp_path / "y.npy")
    (folder.path / "config.yaml").write_text(folder.config_text().replace("x.npy", "y.npy"))
    measure(folder.path)


def test_a_file_of_the_same_size_and_time_is_not_read_for_its_digest(tmp_path, monkeypatch):
    images(tmp_path / "x.npy")
    data = load_data(str(tmp_path / "x.npy"))
    known = fingerprint(data)
    monkeypatch.setattr("pyro_vae.data.fingerprint._digest", lambda _: pytest.fail("read"))
    assert fingerprint(data, known) == known


def test_labels_and_scale_are_part_of_the_data(tmp_path):
    x = np.random.default_rng(0).integers(0, 255, (40, 4, 4), dtype=np.uint8)
    digests = []
    for name, y in {"a": np.zeros(40, int), "b": np.arange(40) % 2}.items():
        np.savez(tmp_path / f"{name}.npz", x=x, y=y)
        digests.append(fingerprint(load_data(str(tmp_path / f"{name}.npz")))["digest"])
    np.savez(tmp_path / "c.npz", x=x / np.float32(255), y=np.zeros(40, int))
    digests.append(fingerprint(load_data(str(tmp_path / "c.npz")))["digest"])
    assert len(set(digests)) == 3
    assert fingerprint(load_data("digits")) == fingerprint(load_data("digits"))
