"""Missing values filled in: closed forms, copies with the posterior's moments, and the command."""

import csv

import numpy as np
import pytest
import torch

import pyro_vae
from guides import FullRank, MeanField, MLPEncoder
from guides.fed import Fed
from pyro_vae.columns import Column
from pyro_vae.commands import COMMANDS
from pyro_vae.errors import InputError
from pyro_vae.estimators import filled
from pyro_vae.models import Columns, Gaussian, LinearDecoder, LinearGaussian, StandardNormal
from pyro_vae.use import imputations

NAN = float("nan")
SMALL = {"epochs": 2, "final_samples": 2, "engine": "eager", "quiet": True, "latent_dim": 2, "batch_size": 20}


@pytest.fixture
def linear():
    """A linear-Gaussian model of 4 values, rows with holes, and the closed form of E[x^m | x^o] and its variance."""
    torch.manual_seed(1)
    shape = (1, 1, 4)
    likelihood = Gaussian(shape, 0.5, squash=False)
    likelihood.allows_missing = True
    model = LinearGaussian(LinearDecoder(2, shape), likelihood, StandardNormal(2)).eval()
    model.decoder.output.weight.data *= 2
    x = model(n=3)
    x[0, ..., 1], x[1, ..., :3], x[2] = NAN, NAN, NAN
    weight, bias, scale = (part.detach().double() for part in model._parts())
    cov = weight @ weight.T + scale**2 * torch.eye(4)
    means, variances = [], []
    for row in x.double().flatten(1):
        seen, gone = ~row.isnan(), row.isnan()
        gain = cov[gone][:, seen] @ torch.linalg.inv(cov[seen][:, seen])
        means.append(bias[gone] + gain @ (row[seen] - bias[seen]))
        variances.append((cov[gone][:, gone] - gain @ cov[seen][:, gone]).diagonal())
    return model, x, torch.cat(means), torch.cat(variances)


def guide_for(model, family=MeanField):
    inputs = model.likelihood.encoder_inputs(True)
    return family(Fed(inputs, MLPEncoder(inputs.output_shape, [8])), 2).eval()


@pytest.mark.parametrize("which", ["amortized", "optimised", "exact"])
def test_best_values_and_copies_are_the_conditional_gaussian(linear, which):
    """Even an untrained encoder: the weights repair it."""
    model, x, mean, variance = linear
    found = filled(
        model, guide_for(model, FullRank), x, draws=4000, which=which, num_samples=20_000 if which != "exact" else 2000
    )
    missing = x.isnan()
    assert torch.equal(found.values[~missing], x[~missing])
    spread = variance.sqrt()
    assert ((found.values[missing].double() - mean).abs() / spread).max() < 0.1
    copies = found.draws[:, missing].double()
    assert ((copies.mean(0) - mean).abs() / spread).max() < 0.12
    assert (copies.var(0) / variance - 1).abs().max() < 0.15
    assert torch.equal(found.draws[:, ~missing], x[~missing].expand(4000, -1))
    assert found.effective.min() > 300


def test_a_level_is_filled_in_by_the_most_probable_one():
    columns = [
        Column("level", "Categorical", levels=(1.0, 2.0, 7.0), shares=(0.2, 0.5, 0.3)),
        Column("yes", "Bernoulli", 0.3, 0.45),
        Column("number"),
    ]
    likelihood = Columns((1, 1, 3), columns=columns)
    decoder = LinearDecoder(1, likelihood.output_shape)
    decoder.output.weight.data.zero_()
    decoder.start_at(likelihood.initial_output(torch.tensor([1.0, 0.3, 4.0]).reshape(1, 1, 3)))
    from pyro_vae.models import VAE

    model = VAE(decoder, likelihood, StandardNormal(1)).eval()
    inputs = likelihood.encoder_inputs(False)
    guide = MeanField(Fed(inputs, MLPEncoder(inputs.output_shape, [8])), 1).eval()
    found = filled(model, guide, torch.full((2, 1, 1, 3), NAN), draws=2000)
    assert found.values.flatten(1).tolist() == [pytest.approx([2.0, 0.0, 4.0])] * 2
    level = found.draws[:, 0, 0, 0, 0]
    assert [(level == one).float().mean().item() for one in (1, 2, 7)] == pytest.approx([0.2, 0.5, 0.3], abs=0.05)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    rng = np.random.default_rng(0)
    z = rng.normal(size=200)
    x = np.stack([z + 0.1 * rng.normal(size=200), 100 - 10 * z, (z > 0).astype(float)], -1)
    x[rng.random(x.shape) < 0.3] = np.nan
    out = tmp_path_factory.mktemp("runs") / "table"
    pyro_vae.train(data={"x": x, "names": ["a", "b", "yes"]}, out=out, **{**SMALL, "epochs": 40, "lr": 1e-2})
    return out, x


def test_the_command_writes_what_the_function_gives(table, tmp_path, capsys):
    pandas = pytest.importorskip("pandas")
    out, x = table
    frame = pandas.DataFrame(x[:20], columns=["a", "b", "yes"])[["yes", "b", "a"]]  # in another order
    frame.to_csv(tmp_path / "rows.csv", index=False)
    words = [str(out), str(tmp_path / "rows.csv"), "--num-samples", "300"]
    imputations.main([*words, "--out", str(tmp_path / "filled.csv")])
    said = capsys.readouterr().out
    empty = np.isnan(x[:20])
    holed = f"{empty.any(1).sum()} of 20 rows"
    assert not empty.any(1).all()
    assert f"{empty.sum()} of 60 values filled in, in {holed}\neffective sample size: median " in said
    with open(tmp_path / "filled.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["a", "b", "yes"]
    found = np.array([[float(row[name]) for name in ("a", "b", "yes")] for row in rows])
    function = pyro_vae.impute(out, x[:20].astype(np.float32), num_samples=300)
    np.testing.assert_allclose(found, function.values.reshape(20, 3), rtol=1e-5)
    np.testing.assert_array_equal(
        function.values.reshape(20, 3)[~np.isnan(x[:20])], x[:20].astype(np.float32)[~np.isnan(x[:20])]
    )
    assert set(found[:, 2]) <= {0, 1}
    imputations.main([*words, "--out", str(tmp_path / "filled.npz"), "--draws", "3"])
    with np.load(tmp_path / "filled.npz") as kept:
        assert kept["draws"].shape == (3, 20, 1, 1, 3)
        assert (kept["effective"] > 1).all()
        assert kept["missing"].sum() == np.isnan(x[:20]).sum()
    imputations.main([*words, "--out", str(tmp_path / "drawn.csv"), "--draws", "2"])
    with open(tmp_path / "drawn.csv", newline="") as file:
        assert [row["draw"] for row in csv.DictReader(file)] == ["1"] * 20 + ["2"] * 20
    assert COMMANDS["impute"].module == "pyro_vae.use.imputations"


def test_it_fills_in_better_than_the_mean(table):
    out, x = table
    complete = x.copy()
    rows = ~np.isnan(x).any(1)
    hidden = complete[rows].copy()
    hidden[:, 1] = np.nan
    found = pyro_vae.impute(out, hidden).values.reshape(len(hidden), 3)[:, 1]
    truth = complete[rows][:, 1]
    assert ((found - truth) ** 2).mean() < 0.3 * truth.var()


def test_what_cannot_be_filled_in_is_one_line(table, tmp_path):
    pandas = pytest.importorskip("pandas")
    out, x = table
    with pytest.raises(InputError, match="draws must not be negative"):
        pyro_vae.impute(out, x, draws=-1)
    with pytest.raises(InputError, match="holds infinite values"):
        pyro_vae.impute(out, np.where(np.isnan(x), np.inf, x))
    pandas.DataFrame(x, columns=["a", "b", "c"]).to_csv(tmp_path / "r.csv", index=False)
    with pytest.raises(InputError, match="no column 'yes', and the run was trained on it"):
        imputations.main([str(out), str(tmp_path / "r.csv"), "--out", str(tmp_path / "f.npy")])
    gray = np.random.default_rng(0).random((60, 4, 4))
    plain = pyro_vae.train(data=gray, out=tmp_path / "plain", **SMALL)
    with pytest.raises(InputError, match="takes no missing values"):
        pyro_vae.impute(plain, gray)
    holed = pyro_vae.train(data=gray, out=tmp_path / "holed", missing="allow", **SMALL)
    gray[:, :2] = np.nan
    assert np.isfinite(pyro_vae.impute(holed, gray, draws=2, num_samples=20).draws).all()
