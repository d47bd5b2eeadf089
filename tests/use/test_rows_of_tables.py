"""A run on a table put to use: what a column cannot have is refused, and its names are the run's."""

import csv

import numpy as np
import pytest

import pyro_vae
from pyro_vae.errors import InputError
from pyro_vae.use import codes, imputations, reconstructions, samples, scores

SMALL = {"epochs": 1, "final_samples": 2, "engine": "eager", "quiet": True, "latent_dim": 2, "batch_size": 20}
KINDS = {"income": "LogNormal", "sick": "Bernoulli", "visits": "Poisson", "falls": "NegativeBinomial"}
KINDS |= {"grade": "Categorical", "weight": "Gaussian"}


def rows(count=60):
    rng = np.random.default_rng(0)
    return {
        "income": np.exp(rng.normal(size=count)),
        "sick": rng.integers(0, 2, count).astype(float),
        "visits": rng.poisson(5, count).astype(float),
        "falls": rng.poisson(5, count).astype(float),
        "grade": rng.integers(1, 5, count).astype(float),
        "weight": rng.normal(size=count),
    }


def stacked(table):
    return np.stack(list(table.values()), -1)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A column of each kind."""
    columns = ",".join(f"{name}={kind}" for name, kind in KINDS.items())
    given = {"x": stacked(rows()), "names": list(KINDS)}
    return pyro_vae.train(data=given, columns=columns, out=tmp_path_factory.mktemp("runs") / "table", **SMALL)


USES = {
    "score": lambda run, x: pyro_vae.score(run, x, "amortized", num_samples=20).log_evidence,
    "impute": lambda run, x: pyro_vae.impute(run, x, num_samples=20).values,
    "reconstruct": lambda run, x: pyro_vae.reconstruct(run, x, num_samples=2),
    "features": pyro_vae.features,
}


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("income", 0.0, "not positive, and its likelihood is LogNormal"),
        ("sick", 5.0, "neither 0 nor 1, and its likelihood is Bernoulli"),
        ("visits", 2.5, "no count, and its likelihood is Poisson"),
        ("falls", -3.0, "no count, and its likelihood is NegativeBinomial"),
        ("grade", 7.0, r"none of its levels \(1, 2, 3, 4\), and its likelihood is Categorical"),
    ],
)
def test_a_value_that_a_column_cannot_have_is_one_line(run, column, value, why):
    table = rows()
    table[column][3] = np.nan  # a missing value is none such
    table[column][33] = value
    for name, use in USES.items():
        with pytest.raises(InputError, match=rf"column '{column}' holds {value:g} in row 33 .*{why}") as error:
            use(run, stacked(table))
        assert "\n" not in str(error.value), name
        table[column][33] = rows()[column][33]
        assert np.isfinite(use(run, stacked(table))).all(), name
        table[column][33] = value


def test_a_file_with_such_a_value_is_refused_before_the_work(run, tmp_path, monkeypatch):
    table = rows()
    table["sick"][50] = 5
    np.savez(tmp_path / "t.npz", x=stacked(table), names=np.array(list(table)))
    monkeypatch.setattr(pyro_vae.encoding, "LOOKED_AT", 20)  # the row is counted from the first of the file
    for command in (codes, imputations, reconstructions, scores):
        with pytest.raises(InputError, match=r"t\.npz: column 'sick' holds 5 in row 50 \(the first is row 0\)"):
            command.main([str(run.folder.path), str(tmp_path / "t.npz"), "--out", str(tmp_path / "out.csv")])
    assert not (tmp_path / "out.csv").exists()


def test_a_column_that_is_called_as_labels_are_is_the_runs(tmp_path):
    """Trained on (frame, labels), whose frame has a column y of its own."""
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame(rng.normal(size=(60, 3)), columns=["a", "b", "y"])
    run = pyro_vae.train(data=(frame, np.arange(60) % 2), out=tmp_path / "run", **SMALL)
    expected = pyro_vae.features(run, frame.to_numpy())
    np.testing.assert_array_equal(pyro_vae.features(run, frame[["y", "b", "a"]]), expected)
    np.testing.assert_array_equal(pyro_vae.features(run, frame.assign(label=1)), expected)
    frame.to_csv(tmp_path / "t.csv", index=False)
    codes.main([str(tmp_path / "run"), str(tmp_path / "t.csv"), "--out", str(tmp_path / "z.npy")])
    np.testing.assert_allclose(np.load(tmp_path / "z.npy"), expected, rtol=1e-5)


def test_samples_of_z_are_one_at_least(run):
    for count in (0, -1):
        with pytest.raises(InputError, match=f"num_samples must be positive, not {count}"):
            pyro_vae.features(run, stacked(rows()), "samples", count)


def test_a_table_that_is_filled_in_is_one_that_the_run_takes(run):
    x = stacked(rows())
    x[np.random.default_rng(1).random(x.shape) < 0.3] = np.nan
    found = pyro_vae.impute(run, x, draws=1, num_samples=20)
    for filled in (found.values, *found.draws):
        assert np.isfinite(pyro_vae.features(run, filled)).all()


def written(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_what_was_seen_is_written_as_it_is_stored(tmp_path):
    """A number of nine digits has no place in single precision; whole numbers have no decimal point."""
    rng = np.random.default_rng(0)
    table = {"id": rng.integers(10**8, 2 * 10**8, 60).astype(float), "yes": rng.integers(0, 2, 60).astype(float)}
    table |= {"draw": rng.normal(size=60), "price": np.round(rng.normal(size=60), 3)}
    x = stacked(table)
    x[3, 1], x[4, 3] = np.nan, np.nan
    run = pyro_vae.train(data={"x": x, "names": list(table)}, out=tmp_path / "run", **SMALL)
    found = pyro_vae.impute(run, x, draws=2, num_samples=20)
    seen = ~np.isnan(x)
    for copy in (found.values, *found.draws):
        np.testing.assert_array_equal(copy.reshape(x.shape)[seen], x[seen])
    np.savez(tmp_path / "t.npz", x=x, names=np.array(list(table)), y=np.arange(60) % 2)
    words = [str(tmp_path / "run"), str(tmp_path / "t.npz"), "--num-samples", "20", "--out", str(tmp_path / "f.csv")]
    imputations.main(words)
    rows = written(tmp_path / "f.csv")
    assert [row["id"] for row in rows] == [str(int(one)) for one in x[:, 0]]
    assert [row["price"] for row in rows if row is not rows[4]] == [repr(float(one)) for one in np.delete(x[:, 3], 4)]
    assert {row["yes"] for row in rows} == {"0", "1"}
    assert np.float32(rows[4]["price"]) == np.float32(found.values[4, 0, 0, 3])
    assert len(rows[4]["price"]) < 14  # a filled-in value has the digits of single precision
    # a column of the table that is called "draw" is the table's
    imputations.main([*words, "--draws", "2"])
    rows = written(tmp_path / "f.csv")
    assert list(rows[0]) == ["draw_", "label", "id", "yes", "draw", "price"]
    assert [row["draw_"] for row in rows] == ["1"] * 60 + ["2"] * 60
    np.testing.assert_array_equal([float(row["draw"]) for row in rows], np.tile(table["draw"], 2))


def test_rows_of_a_table_make_no_picture(run, tmp_path):
    np.savez(tmp_path / "t.npz", x=stacked(rows()), names=np.array(list(KINDS)))
    for command, data in ((imputations, True), (reconstructions, True), (samples, False)):
        for name in ("f.png", "folder"):
            words = [str(run.folder.path), *([str(tmp_path / "t.npz")] if data else []), "--out", str(tmp_path / name)]
            with pytest.raises(InputError, match=f"{name}: the rows of a table make no picture: choose .npy"):
                command.main(words)
            assert not (tmp_path / name).exists()


def test_columns_are_written_by_their_names(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 2))
    given = {"x": x, "names": ["row", "b"]}
    run = pyro_vae.train(data=given, out=tmp_path / "run", **SMALL)
    samples.main([str(tmp_path / "run"), "--num-samples", "3", "--out", str(tmp_path / "s.csv")])
    rows = written(tmp_path / "s.csv")
    assert list(rows[0]) == ["row_", "row", "b"]
    assert [row["row_"] for row in rows] == ["0", "1", "2"]
    found = np.array([[row["row"], row["b"]] for row in rows], np.float32)
    np.testing.assert_array_equal(found, pyro_vae.sample(run, 3).reshape(3, 2))
    np.savez(tmp_path / "t.npz", x=x, names=np.array(["row", "b"]))
    reconstructions.main([str(tmp_path / "run"), str(tmp_path / "t.npz"), "--out", str(tmp_path / "r.csv")])
    assert list(written(tmp_path / "r.csv")[0]) == ["row_", "row", "b"]


def test_means_of_a_table_have_a_level_where_a_column_has_levels(run, tmp_path, capsys):
    """No such thing as grade 2.575: the most probable level, as impute gives it; the other columns have their means."""
    words = [str(run.folder.path), "--num-samples", "40", "--mean", "--out", str(tmp_path / "s.csv")]
    samples.main(words)
    assert "40 means E[x|z] (in Bernoulli and Categorical columns, the most probable values)" in capsys.readouterr().out
    found = written(tmp_path / "s.csv")
    assert {float(row["grade"]) for row in found} <= {1, 2, 3, 4}
    assert {float(row["sick"]) for row in found} <= {0, 1}
    assert any(float(row["visits"]) % 1 for row in found)
