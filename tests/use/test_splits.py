"""The split of a run's own data is the one that the run has seen, however the data are called."""

import numpy as np
import pytest

import pyro_vae
from pyro_vae.errors import InputError
from pyro_vae.use import Reading, rows_of
from pyro_vae.use.outputs import check_out

SMALL = {"epochs": 1, "latent_dim": 2, "engine": "eager", "device": "cpu", "final_samples": 2, "quiet": True}


def test_the_split_of_a_file_is_the_runs_own_by_any_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.random.default_rng(0).random((200, 4, 4), np.float32))
    np.save("other.npy", np.random.default_rng(1).random((200, 4, 4), np.float32))
    run = pyro_vae.train(data="x.npy", validation=5, out="run", **SMALL)
    counts = {}
    for name in ("x.npy", "./x.npy", str(tmp_path / "x.npy"), "other.npy"):
        counts[name] = [len(rows_of(run, name, Reading(split=split))) for split in ("train", "validation", "test")]
    assert counts.pop("other.npy") == [160, 20, 20]
    assert set(map(tuple, counts.values())) == {(175, 5, 20)}


def test_pictures_do_not_mix_with_other_files(tmp_path):
    out = tmp_path / "pictures"
    check_out(out, pictures=True)
    out.mkdir()
    check_out(out, pictures=True)
    (out / "00.png").write_bytes(b"")
    with pytest.raises(InputError, match="not empty"):
        check_out(out, pictures=True)
