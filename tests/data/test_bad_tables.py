"""What is no table, or has a column that cannot be learned from, is refused in one line that says what to do."""

import numpy as np
import pytest

import pyro_vae
from pyro_vae.data import load_data
from pyro_vae.data.memory import MEMORY
from pyro_vae.errors import InputError

RNG = np.random.default_rng(0)
SMALL = {"epochs": 2, "final_samples": 2, "engine": "eager", "quiet": True, "latent_dim": 2, "batch_size": 20}


def test_a_column_without_a_name_is_one_line(tmp_path):
    pandas = pytest.importorskip("pandas")
    pandas.DataFrame({"a": RNG.normal(size=60)}).to_csv(tmp_path / "t.csv")
    with pytest.raises(InputError, match=r"t\.csv: column 1 has no name.*index=False") as error:
        load_data(str(tmp_path / "t.csv"))
    assert "\n" not in str(error.value)
    pandas.read_csv(tmp_path / "t.csv").to_csv(tmp_path / "t.csv", index=False)  # its header has pandas' name for none
    with pytest.raises(InputError, match="column 1 has no name"):
        load_data(str(tmp_path / "t.csv"))


def broken(**changes):
    table = {"a": RNG.normal(size=60), "b": RNG.normal(size=60)}
    return {**table, **{name: change(table[name].copy()) for name, change in changes.items()}}


def infinite(x):
    x[4] = np.inf
    return x


BROKEN = {
    "all missing": (broken(b=lambda x: x * np.nan), "column 'b' has no value in the training rows"),
    "constant": (broken(b=lambda x: 0 * x + 3), "column 'b' is 3 in every training row"),
    "infinite": (broken(b=infinite), "column 'b' holds infinite values in the"),
    "text": (broken(b=lambda x: np.where(x > 0, "red", "blue")), r"column 'b' holds text or dates \('"),
    "dates": (broken(b=lambda x: np.datetime64("2020-01-01") + np.arange(60)), "column 'b' holds "),
    "steps": (broken(b=lambda x: 1e6 + x), "column 'b' varies by .* subtract its mean"),
    "nothing": ({"a": np.full(60, np.nan)}, "every value is missing|has no value"),
}


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("place", ["csv", "frame"])
def test_a_column_that_cannot_be_learned_from_is_one_line(fault, place, tmp_path):
    pandas = pytest.importorskip("pandas")
    table, words = BROKEN[fault]
    frame = pandas.DataFrame(table)
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match=words) as error:
        pyro_vae.train(data=frame if place == "frame" else str(tmp_path / "t.csv"), out=tmp_path / "r", **SMALL)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("a=LogNormal", "column 'a' holds -.*, which is not positive, so its likelihood cannot be LogNormal"),
        ("a=Poisson", "which is no count"),
        ("a=Bernoulli", "which is neither 0 nor 1"),
        ("a=Categorical", "200 different values, and 100 is the most"),
        ("c=Gaussian", "no column 'c'; nearest are a"),
        ("a=Normal", "no kind 'Normal'"),
    ],
)
def test_a_kind_that_does_not_suit_a_column_is_one_line(columns, words, tmp_path):
    x = {"x": RNG.normal(size=(200, 2)), "names": ["a", "b"]}
    with pytest.raises(InputError, match=words):
        pyro_vae.train(data=x, columns=columns, out=tmp_path / "r", **SMALL)


def test_files_that_are_no_table_are_one_line(tmp_path, monkeypatch):
    pytest.importorskip("pandas")
    path = tmp_path / "t.csv"
    for content in (b"", b"a,b\n1,2,3\n1,2,3,4\n", b"\xff\xfe\x00", b'a\n"1'):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"t\.csv") as error:
            load_data(str(path))
        assert "\n" not in str(error.value)
    for content, words in (
        ("a,b\n" + "1,2\n" * 50 + "3,?\n", r"t\.csv: column 'b' holds '\?' in row 50 \(the first is row 0\): correct"),
        ("a;b\n" + "1;2\n" * 50, r"t\.csv has one column, whose name holds ';': separate its columns by commas"),
        ("a,b,a\n" + "1,2,3\n" * 50, r"t\.csv has two columns that are called 'a': rename one"),
    ):
        path.write_text(content)
        with pytest.raises(InputError, match=words):
            load_data(str(path))
    for array, words in ((np.ones((30, 2), "U3"), "text"), (np.ones((30, 2), complex), "no real number")):
        np.save(tmp_path / "t.npy", array)
        with pytest.raises(InputError, match=words):
            load_data(str(tmp_path / "t.npy"))
    np.savez(tmp_path / "t.npz", x=np.ones((30, 2)), names=np.array(["a", "a"]))
    with pytest.raises(InputError, match="two columns that are called 'a'"):
        load_data(str(tmp_path / "t.npz"))
    with pytest.raises(InputError, match="rows are too few"):
        load_data(MEMORY, given=RNG.normal(size=(5, 2)))
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(InputError, match=r"pip install 'pyro_vae\[table\]'"):
        load_data(str(path))
