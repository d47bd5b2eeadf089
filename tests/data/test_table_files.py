"""Tables in files and in memory: the same run from each; kinds are guessed."""

import re

import numpy as np
import pytest
import torch

import pyro_vae
from pyro_vae import traces
from pyro_vae.columns import KINDS
from pyro_vae.data import load_data
from pyro_vae.data.guess import columns_of, guess
from pyro_vae.data.memory import MEMORY
from pyro_vae.errors import InputError
from pyro_vae.evaluate import evaluate
from pyro_vae.metrics import Options
from pyro_vae.runs import RunFolder

RNG = np.random.default_rng(0)
SMALL = {"epochs": 2, "final_samples": 2, "engine": "eager", "quiet": True, "latent_dim": 2, "batch_size": 20}


def rows(count=200):
    """A column of each kind, by name."""
    z = RNG.normal(size=count)
    return {
        "gaussian": 100 + 10 * z + RNG.normal(size=count),
        "heavy": z + RNG.standard_t(2, size=count),
        "skewed": np.exp(z),
        "yes": (z > 0).astype(float),
        "class": RNG.integers(1, 4, count).astype(float),
        "count": RNG.poisson(6 * np.exp(0.2 * z)).astype(float),
        "bursts": RNG.negative_binomial(2, 0.1, count).astype(float),
    }


GUESSED = ["Gaussian", "StudentT", "LogNormal", "Bernoulli", "Categorical", "Poisson", "NegativeBinomial"]


def test_the_kinds_are_guessed_from_the_values():
    assert {guess(values) for values in rows(2000).values()} == set(KINDS)
    assert [guess(values) for values in rows(2000).values()] == GUESSED
    with_outlier = np.append(np.exp(RNG.normal(size=200)), -1.0)
    assert guess(with_outlier[:-1], with_outlier) != "LogNormal"  # a value elsewhere is not positive


@pytest.mark.parametrize("levels", [(1, 2), (0, 2), (-1, 1), (10, 2000)])
def test_two_whole_numbers_are_levels(levels):
    assert guess(np.array(levels * 30, dtype=float)) == "Categorical"
    assert guess(np.array(levels * 30) / 4) != "Categorical"


def everything(data):
    splits = [data.train, data.validation, data.test]
    order = np.concatenate([split.rows for split in splits]).argsort()
    return torch.cat([split.batch(slice(None)) for split in splits]).flatten(1).numpy()[order]


def test_a_table_is_the_same_from_every_place(tmp_path):
    pandas = pytest.importorskip("pandas")
    table = rows()
    table["gaussian"][3] = np.nan
    x, names = np.stack(list(table.values()), -1), list(table)
    frame = pandas.DataFrame(table)
    frame.to_csv(tmp_path / "t.csv", index=False)
    np.save(tmp_path / "t.npy", x)
    np.savez(tmp_path / "t.npz", x=x, names=np.array(names))
    found = {
        "csv": load_data(str(tmp_path / "t.csv")),
        "npz": load_data(str(tmp_path / "t.npz")),
        "frame": load_data(MEMORY, given=frame),
        "names": load_data(MEMORY, given={"x": x, "names": names}),
        "npy": load_data(str(tmp_path / "t.npy")),
        "array": load_data(MEMORY, given=x),
    }
    for where, data in found.items():
        assert data.likelihood == "Columns", where
        assert data.missing == 1
        np.testing.assert_array_equal(everything(data), x.astype(np.float32))
        named = [f"column {i + 1}" for i in range(7)] if where in ("npy", "array") else names
        assert [column.name for column in columns_of(data)] == named
        assert [column.kind for column in columns_of(data)] == [c.kind for c in columns_of(found["csv"])]


def test_scikit_learns_pairs_and_whole_numbers_and_labels(tmp_path):
    pandas = pytest.importorskip("pandas")
    x, y = RNG.integers(0, 5000, (60, 3)), np.arange(60) % 3
    data = load_data(MEMORY, given=(x, y))
    np.testing.assert_array_equal(everything(data), x)
    assert data.classes == ("0", "1", "2")
    frame = pandas.DataFrame({"a": [1.5, None] * 30, "b": pandas.array([1, 2, None] * 20, dtype="Int64")})
    data = load_data(MEMORY, given=(frame, y))
    assert (data.missing, data.classes) == (50, ("0", "1", "2"))
    frame.assign(label=["red", "blue"] * 30).to_csv(tmp_path / "l.csv", index=False)
    assert load_data(str(tmp_path / "l.csv")).classes == ("blue", "red")


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16"])
@pytest.mark.parametrize("place", ["csv", "frame", "pair"])
def test_a_frame_and_a_csv_file_are_tables_whatever_their_types(dtype, place, tmp_path):
    pandas = pytest.importorskip("pandas")
    x = RNG.integers(0, 2, (60, 3)).astype(dtype)
    frame = pandas.DataFrame(x, columns=list("abc"))
    frame.to_csv(tmp_path / "t.csv", index=False)
    given = (frame, np.arange(60) % 2) if place == "pair" else frame
    data = load_data(str(tmp_path / "t.csv")) if place == "csv" else load_data(MEMORY, given=given)
    assert (data.likelihood, data.train.names) == ("Columns", ("a", "b", "c"))
    np.testing.assert_array_equal(everything(data), x.astype(np.float32))
    run = pyro_vae.train(data=given, out=tmp_path / "r", **{**SMALL, "epochs": 1})
    assert [column.kind for column in run.model.likelihood.columns] == 3 * ["Bernoulli"]
    assert np.isfinite(pyro_vae.features(run, frame)).all()


def test_columns_are_those_of_the_training_rows():
    table = rows(400)
    x = np.stack(list(table.values()), -1)
    data = load_data(MEMORY, given={"x": x, "names": list(table)})
    columns = columns_of(data, "count=Gaussian,heavy=Gaussian")
    train = x[data.train.rows].astype(np.float32).astype(float)
    assert columns[0].centre == pytest.approx(train[:, 0].mean())
    assert columns[0].scale == pytest.approx(train[:, 0].std())
    assert columns[2].centre == pytest.approx(np.log(train[:, 2]).mean())
    assert columns[4].levels == (1, 2, 3)
    assert columns[4].shares == pytest.approx([(train[:, 4] == level).mean() for level in (1, 2, 3)])
    assert [columns[i].kind for i in (1, 5)] == ["Gaussian", "Gaussian"]


def test_images_take_missing_pixels_only_if_they_are_allowed(tmp_path):
    x = RNG.random((60, 4, 4))
    x[3, 1, 2] = np.nan
    with pytest.raises(InputError, match="NaN or infinite values; missing allow takes"):
        pyro_vae.train(data=x, out=tmp_path / "r", **SMALL)
    for missing in ("allow", "mask"):
        run = pyro_vae.train(data=x, missing=missing, out=tmp_path / missing, **SMALL)
        assert all(p.isfinite().all() for p in run.guide.parameters())
        again = pyro_vae.load(tmp_path / missing)
        for one, other in zip(run.guide.parameters(), again.guide.parameters(), strict=True):
            assert torch.equal(one, other)
    x[0, 0, 0] = np.inf
    with pytest.raises(InputError, match="hold infinite values"):
        pyro_vae.train(data=x, missing="allow", out=tmp_path / "s", **SMALL)
    table = RNG.normal(size=(60, 3))
    table[0, 0] = np.nan
    with pytest.raises(InputError, match="1 missing values, and missing refuse takes none"):
        pyro_vae.train(data=table, missing="refuse", out=tmp_path / "s", **SMALL)
    gaussian = {"class_path": "Gaussian", "init_args": {"squash": False}}
    with pytest.raises(InputError, match="1 missing values: missing allow leaves them out"):
        pyro_vae.train(data=table, likelihood=gaussian, out=tmp_path / "s", **SMALL)
    with pytest.raises(InputError, match="Columns is for tables"):
        pyro_vae.train(data="digits", likelihood="Columns", out=tmp_path / "s", **SMALL)
    with pytest.raises(InputError, match="columns gives likelihoods"):
        pyro_vae.train(data="digits", columns="a=Poisson", out=tmp_path / "s", **SMALL)


@pytest.mark.parametrize("likelihood", ["Columns", {"class_path": "Columns", "init_args": {"scale": "decoded"}}])
def test_a_run_keeps_its_columns_and_resumes_bit_by_bit(likelihood, tmp_path):
    table = rows()
    x = np.stack(list(table.values()), -1)
    x[RNG.random(x.shape) < 0.3] = np.nan
    x[7] = np.nan  # a row without a value
    given = {"x": x, "names": list(table)}
    options = {**SMALL, "likelihood": likelihood, "objective": "IWAE", "data": given, "missing": "mask"}
    whole = pyro_vae.train(out=tmp_path / "whole", **{**options, "epochs": 3})
    pyro_vae.train(out=tmp_path / "part", **options)
    resumed = pyro_vae.resume(tmp_path / "part", epochs=3, data=given, quiet=True)
    loaded = pyro_vae.load(tmp_path / "part")
    for run in (resumed, loaded):
        for one, other in zip(whole.model.parameters(), run.model.parameters(), strict=True):
            assert torch.equal(one, other)
    assert loaded.model.likelihood.columns == whole.model.likelihood.columns
    assert [column.name for column in loaded.model.likelihood.columns] == list(table)
    drawn = loaded.model(n=50).flatten(1)
    assert drawn[:, 3].unique().tolist() == [0, 1]
    assert set(drawn[:, 4].tolist()) <= {1, 2, 3}
    text = (tmp_path / "part" / "columns.csv").read_text().splitlines()
    assert text[0] == "name,likelihood,centre,scale,levels"
    assert len(text) == 8
    rows_of_trace = RunFolder(tmp_path / "part").read_trace()
    assert all(np.isfinite(row.elbo) for row in rows_of_trace)


def test_the_compiled_engine_gives_the_same_numbers(tmp_path):
    table = rows()
    x = np.stack(list(table.values()), -1)
    x[RNG.random(x.shape) < 0.3] = np.nan
    runs = [
        pyro_vae.train(out=tmp_path / engine, **{**SMALL, "data": x, "engine": engine})
        for engine in ("eager", "captured")
    ]
    for one, other in zip(*(run.model.parameters() for run in runs), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.pictures
def test_a_table_has_pictures_and_words_of_its_own_and_none_of_images(tmp_path, capsys):
    table = rows()
    x = np.stack(list(table.values()), -1)
    x[RNG.random(x.shape) < 0.3] = np.nan
    data = {"x": x, "names": list(table)}
    run = pyro_vae.train(data=data, out=tmp_path / "r", **{**SMALL, "quiet": False})
    drawn = {path.stem for path in run.folder.figures.iterdir()}
    assert {"marginals", "pairs", "latent"} <= drawn
    assert not {"reconstructions", "prior_samples", "interpolation"} & drawn
    assert "nats per row" in repr(run)
    options = Options(elbo_samples=2, importance_samples=100)
    evaluate([run.folder.path], options, ["elbo", "importance", "units", "predictive"], train=False, data=data)
    traces.main([str(run.folder.path)])
    said = capsys.readouterr().out
    assert "nats per row (log-likelihood" in said
    assert f"({int(np.isnan(x).sum())} values are missing in all 200 rows)" in said
    assert " rows/s" in said
    assert "evaluation, nats per row where" in said
    assert "Test ELBO, nats per row, 1 sample(s) of z for each row" in said
    assert "prior_p_mean_of_columns" in said
    assert not re.search(r"\bimages?\b", said, re.IGNORECASE)


def test_a_table_with_one_likelihood_for_all_columns_is_of_rows_too(tmp_path, capsys):
    x = RNG.normal(size=(60, 3))
    gaussian = {"class_path": "Gaussian", "init_args": {"squash": False}}
    run = pyro_vae.train(data=x, likelihood=gaussian, out=tmp_path / "r", **{**SMALL, "quiet": False})
    said = capsys.readouterr().out
    assert "nats per row (log-likelihood" in said
    assert " rows/s" in said
    assert "nats per row" in repr(run)
    traces.main([str(run.folder.path)])
    assert "Test ELBO, nats per row, 1 sample(s) of z for each row" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"has values from -.*, and they must lie in"):
        pyro_vae.train(data=x, likelihood="Gaussian", out=tmp_path / "s", **SMALL)
    pyro_vae.train(data=x, out=tmp_path / "t", **{**SMALL, "quiet": False, "batch_size": 1000})
    assert re.search("a batch is cut from 1000 to .. rows: ", capsys.readouterr().out)
