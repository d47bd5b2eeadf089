"""The commands of a trained run: what they write is what the functions give, and what does not fit is one line."""

import csv
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import pyro_vae
from pyro_vae.commands import COMMANDS
from pyro_vae.data import Binarizer, load_data
from pyro_vae.errors import InputError
from pyro_vae.estimators import Demand, certify
from pyro_vae.seeds import batch_seed, seeded
from pyro_vae.use import Reading, codes, reconstructions, rows_of, samples, scores

SMALL = {"epochs": 1, "latent_dim": 2, "engine": "eager", "device": "cpu", "final_samples": 2}
SMALL |= {"decoder": {"class_path": "MLPDecoder", "init_args": {"hidden_dims": [8]}}}


@pytest.fixture(scope="module")
def gray(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "gray"
    pyro_vae.train(data="digits", out=str(out), **SMALL)
    return out


@pytest.fixture(scope="module")
def binary(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "binary"
    pyro_vae.train(data="digits", out=str(out), likelihood="Bernoulli", **SMALL)
    return out


@pytest.fixture(scope="module")
def linear(tmp_path_factory):
    """A run whose log p(x) is known."""
    out = tmp_path_factory.mktemp("runs") / "linear"
    gaussian = {"class_path": "Gaussian", "init_args": {"squash": False}}
    parts = {"model": "LinearGaussian", "decoder": "LinearDecoder", "likelihood": gaussian, "guide": "FullRank"}
    pyro_vae.train(data="digits", out=str(out), **{**SMALL, **parts, "epochs": 200, "lr": 1e-2})
    return pyro_vae.load(out)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as archive:
        return dict(archive)


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_samples_have_the_moments_of_the_model(linear):
    weight = linear.model.decoder.output.weight.detach().double().numpy()
    bias = linear.model.decoder.output.bias.detach().numpy()
    scale = linear.model.likelihood.scale.item()
    n = 40_000
    for mean, covariance in (
        (False, weight @ weight.T + scale**2 * np.eye(64)),
        (True, weight @ weight.T),
    ):
        drawn = pyro_vae.sample(linear, n, mean=mean).reshape(n, -1).astype(np.float64)
        deviation = np.sqrt(np.diag(covariance))
        assert (np.abs(drawn.mean(0) - bias) < 5 * deviation / n**0.5 + 1e-5).all()
        off = np.abs(np.cov(drawn.T) - covariance)
        assert (off < 6 * np.outer(deviation, deviation) * (2 / n) ** 0.5 + 1e-6).all()
    few = [pyro_vae.sample(linear, 3, seed=seed) for seed in (1, 1, 2)]
    assert (few[0] == few[1]).all()
    assert (few[0] != few[2]).any()


def test_scores_are_log_p_of_x_within_their_standard_errors(linear):
    x = load_data("digits").test.batch(slice(0, 20))
    x = torch.cat([x, 1 - x[:2]])  # the last two are negatives
    truth = linear.model.log_evidence(x).detach().numpy()
    for posterior in ("amortized", "exact"):
        found = pyro_vae.score(linear, x, posterior, 2000 if posterior == "amortized" else None)
        assert (np.abs(found.log_evidence - truth)[:20] < 5 * found.standard_error[:20] + 0.05).all(), posterior
        assert set(found.order[:2]) == {20, 21}
        assert (np.diff(found.log_evidence[found.order]) >= 0).all()
    again = pyro_vae.score(linear, x.numpy(), "exact")
    np.testing.assert_array_equal(again.log_evidence, found.log_evidence)
    assert found.certified is None


def test_a_certified_score_says_how_far_it_can_be_off(linear, monkeypatch):
    quick = partial(certify, demand=Demand(images=4, tolerance=0.5))
    monkeypatch.setattr("pyro_vae.use.scores.certify", quick)
    x = load_data("digits").test.batch(slice(0, 4))
    found = pyro_vae.score(linear, x, certified=True)
    assert found.certified == quick(linear.model, linear.guide).reached
    assert np.abs(found.log_evidence - linear.model.log_evidence(x).detach().numpy()).max() < 0.5
    assert any("certified to 0." in line for line in scores._sentences(found))
    said = scores._sentences(found._replace(certified=0.0214))
    assert "certified to 0.022 nats on simulated rows" in said


def test_the_table_of_scores_begins_with_anomalies(linear, tmp_path, capsys):
    out = tmp_path / "scores.csv"
    words = [str(linear.folder.path), "digits", "--posterior", "amortized", "--num-samples", "50"]
    scores.main([*words, "--out", str(out)])
    rows = table(out)
    values = [float(row["log_p"]) for row in rows]
    assert values == sorted(values)
    assert len(rows) == 250
    assert sorted(int(row["row"]) for row in rows) == list(range(250))
    labels = load_data("digits").test.labels
    assert all(int(row["label"]) == labels[int(row["row"])] for row in rows)
    said = capsys.readouterr().out
    assert "The least likely of 250 rows" in said
    assert f"{values[0]:.2f}" in said
    assert f"bound on log p(x), mean of 250 rows: {np.mean(values):.2f} ±" in said
    scores.main([*words, "--out", str(tmp_path / "scores.npz")])
    arrays = arrays_of(tmp_path / "scores.npz")
    np.testing.assert_allclose(np.sort(arrays["log_p"]), values)
    assert arrays["order"][0] == int(rows[0]["row"])


def test_codes_are_features_in_every_form(gray, tmp_path, capsys):
    x = load_data("digits").test.batch(slice(None))
    expected = pyro_vae.features(gray, x.numpy())
    for name in ("z.npy", "z.npz", "z.csv"):
        codes.main([str(gray), "digits", "--out", str(tmp_path / name)])
    assert "250 rows: shape (250, 2)" in capsys.readouterr().out
    np.testing.assert_array_equal(np.load(tmp_path / "z.npy"), expected)
    archive, rows = arrays_of(tmp_path / "z.npz"), table(tmp_path / "z.csv")
    np.testing.assert_array_equal(archive["z"], expected)
    read = np.array([[row["z_1"], row["z_2"]] for row in rows], np.float32)
    np.testing.assert_array_equal(read, expected)
    assert archive["label"].tolist() == [row["label"] for row in rows]
    words = ["--statistic", "samples", "--num-samples", "3", "--seed", "5"]
    codes.main([str(gray), "digits", *words, "--out", str(tmp_path / "s.csv")])
    drawn = pyro_vae.features(gray, x.numpy(), "samples", 3, seed=5)
    row = table(tmp_path / "s.csv")[2 * 250 + 7]
    assert (row["draw"], row["row"]) == ("2", "7")
    assert np.float32(row["z_2"]) == drawn[2, 7, 1]


def test_data_of_all_kinds_are_the_same_rows(gray, tmp_path):
    run = pyro_vae.load(gray)
    gray_levels = load_data("digits").test.pixels[load_data("digits").test.rows][:30]
    x = np.rint(gray_levels / 16.0 * 255).astype(np.uint8)
    np.save(tmp_path / "n.npy", x[:, 0])
    np.save(tmp_path / "last.npy", np.moveaxis(x, 1, -1))
    np.save(tmp_path / "float.npy", (x / 255).astype(np.float32))
    np.savez(tmp_path / "own.npz", x_train=1 - x / 255, x_test=x / 255, y_train=np.arange(30), y_test=np.arange(30))
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i, image in enumerate(x):
        Image.fromarray(image[0]).save(pictures / f"{i:02}.png")
    for name in ("n.npy", "last.npy", "float.npy", "own.npz", "pictures"):
        rows = rows_of(run, tmp_path / name)
        np.testing.assert_allclose(rows.source.batch(slice(None)).numpy(), x / 255, atol=1e-6, err_msg=name)
        assert (rows.labels is None) == (name != "own.npz")
    assert rows_of(run, tmp_path / "own.npz").labels == tuple(map(str, range(30)))
    # a split of a file is the one that a run on it has
    split = rows_of(run, tmp_path / "n.npy", Reading(split="validation"))
    expected = load_data(str(tmp_path / "n.npy")).validation.batch(slice(None))
    assert torch.equal(split.source.batch(slice(None)), expected)
    assert len(split) == 3


def test_a_binary_run_sees_the_zeros_and_ones_of_evaluate(binary):
    run, test = pyro_vae.load(binary), load_data("digits").test
    expected = torch.cat(list(Binarizer(True).held_out(test, 1000)))
    rows = rows_of(run, "digits")
    assert rows.binarised
    assert torch.equal(rows.source.batch(slice(None)), expected)
    assert not torch.equal(rows_of(run, "digits", seed=1).source.batch(slice(None)), expected)
    left = rows_of(run, "digits", Reading(binarize="none"))
    assert torch.equal(left.source.batch(slice(None)), test.batch(slice(None)))
    # a score in Python is that of the same zeros and ones
    found = pyro_vae.score(run, test.batch(slice(0, 100)).numpy(), "amortized", 50)
    own = pyro_vae.score(run, rows_of(run, expected[:100]), "amortized", 50)
    np.testing.assert_array_equal(found.log_evidence, own.log_evidence)


def test_pictures_are_the_images(gray, tmp_path):
    found = pyro_vae.sample(gray, 12, mean=True, seed=3)
    words = [str(gray), "--num-samples", "12", "--mean", "--seed", "3", "--out"]
    samples.main([*words, str(tmp_path / "folder")])
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == [f"{i:02}.png" for i in range(12)]
    first = pixels(tmp_path / "folder" / "07.png")
    np.testing.assert_array_equal(first, np.rint(255 * found[7, 0]).astype(np.uint8))
    samples.main([*words, str(tmp_path / "sheet.png")])
    sheet = pixels(tmp_path / "sheet.png")
    assert sheet.shape == (3 * 65 - 1, 4 * 65 - 1)
    np.testing.assert_array_equal(sheet[65:129:8, 195::8], np.rint(255 * found[7, 0]).astype(np.uint8))
    for kind in ("jpg", "webp", "tiff"):
        samples.main([*words, str(tmp_path / f"sheet.{kind}")])
        assert pixels(tmp_path / f"sheet.{kind}").shape[:2] == sheet.shape


def test_reconstructions_stand_below_their_images(gray, tmp_path, capsys):
    reconstructions.main([str(gray), "digits", "--num-samples", "4", "--out", str(tmp_path / "r.png")])
    sheet = pixels(tmp_path / "r.png")
    x = load_data("digits").test.batch(slice(None)).numpy()
    found = pyro_vae.reconstruct(gray, x, num_samples=4)
    np.testing.assert_array_equal(sheet[:64:8, 65:129:8], np.rint(255 * x[1, 0]).astype(np.uint8))
    np.testing.assert_array_equal(sheet[65:129:8, 65:129:8], np.rint(255 * found[1, 0]).astype(np.uint8))
    error = np.sqrt(np.square(found - x).mean())
    assert f"error of a pixel {error:.4f}" in capsys.readouterr().out
    reconstructions.main([str(gray), "digits", "--num-samples", "4", "--out", str(tmp_path / "r.npy")])
    np.testing.assert_array_equal(np.load(tmp_path / "r.npy"), found)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["encode", "RUN", "digits"], "--out FILE is missing: the codes as .npy, .npz or .csv"),
        (["encode", "RUN", "digts", "--out", "a.csv"], "no data set 'digts': nearest are digits"),
        (["encode", "RUN", "memory", "--out", "a.csv"], "these data were in memory"),
        (["encode", "RUN", "digits", "--out", "a.png"], "ends in .png; it must end in .npy, .npz, .csv"),
        (["sample", "RUN", "--out", "a.txt"], "a folder of pictures"),
        (["sample", "RUN", "--out", "a.npy", "--num-samples", "0"], "num_samples must be positive, not 0"),
        (["sample", "RUN", "--out", "a.npy", "--label", "3"], "a VAE has no labels: leave out --label"),
        (["sample", "RUN", "--out", "a.npy", "--seed", "-1"], "--seed must be from 0 to"),
        (["reconstruct", "RUN", "small.npy", "--out", "a.npy"], r"images of shape \(1, 4, 4\), and the run was"),
        (["encode", "RUN", "wide.npy", "--out", "a.npy"], r"wide.npy has pixels from -?\d.* saw them in \[0, 1\]"),
        (["encode", "RUN", "nan.npy", "--out", "a.npy"], "nan.npy holds NaN"),
        (["score", "RUN", "digits", "--num-samples", "50"], "num_samples is of importance sampling: take posterior"),
        (["score", "RUN", "digits", "--posterior", "amortized", "--certified"], "certified is of posterior exact"),
        (["encode", "RUN", "digits", "--statistic", "samples", "--num-samples", "0", "--out", "a.npy"], "not 0"),
        (["score", "nowhere", "digits"], "nowhere is not a run: there is no such folder"),
        (["encode", "RUN", "digits", "--posterior", "best", "--out", "a.npy"], "posterior"),
        (["encode", "RUN", "digits", "--layout", "channels_first", "--out", "a.npy"], "is no such file"),
    ],
)
def test_what_does_not_fit_is_one_line(gray, words, message, tmp_path, monkeypatch):
    from importlib import import_module

    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.save("small.npy", rng.random((5, 4, 4)))
    np.save("wide.npy", 9 * rng.random((5, 8, 8)))
    np.save("nan.npy", np.full((5, 8, 8), np.nan))
    main = import_module(COMMANDS[words[0]].module).main
    with pytest.raises(InputError, match=message) as error:
        main([str(gray) if word == "RUN" else word for word in words[1:]])
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("a.*"))


def test_a_model_of_labels_draws_the_label_that_is_named(tmp_path):
    out = tmp_path / "labelled"
    pyro_vae.train(data="digits", out=str(out), model="ConditionalVAE", **SMALL)
    run = pyro_vae.load(out)
    with seeded(batch_seed(3, 0)):
        z = run.model.prior().sample((5,))
    for label in (0, 7):
        expected = run.model.given(z, torch.tensor(label)).mean.detach()
        drawn = pyro_vae.sample(run, 5, mean=True, label=str(label), seed=3)
        np.testing.assert_allclose(drawn, expected.numpy(), rtol=1e-5)
    assert pyro_vae.sample(out, 7).shape == (7, 1, 8, 8)
    with pytest.raises(InputError, match=r"no label 'x': known: 0, 1, 2"):
        pyro_vae.sample(out, 7, label="x")


def test_a_command_by_its_name_writes_its_file_and_ends_with_0(gray, tmp_path):
    words = [sys.executable, "-m", "pyro_vae", "sample", str(gray), "--out", str(tmp_path / "a.npy")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["64 draws of x: shape (64, 1, 8, 8)", f"written: {tmp_path / 'a.npy'}"]
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), pyro_vae.sample(gray))


def test_a_program_of_ones_own_is_sampled_encoded_and_scored(tmp_path, monkeypatch):
    """All its weights are of its model; what needs a decoder says so in a line."""
    (tmp_path / "own_pair_of_uses.py").write_text(PROGRAM)
    monkeypatch.syspath_prepend(tmp_path)
    options = {name: value for name, value in SMALL.items() if name not in ("latent_dim", "decoder")}
    pyro_vae.train(data="digits", program="own_pair_of_uses:make", out=str(tmp_path / "run"), **options)
    run = pyro_vae.load(tmp_path / "run")
    x = load_data("digits").test.batch(slice(0, 3)).numpy()
    assert pyro_vae.sample(run, 5).shape == (5, 1, 8, 8)
    assert pyro_vae.features(run, x).shape == (3, 2)
    found = pyro_vae.score(run, x, "amortized", 200)
    assert np.isfinite(found.log_evidence).all()
    for use in (lambda: pyro_vae.sample(run, 5, mean=True), lambda: pyro_vae.reconstruct(run, x)):
        with pytest.raises(InputError, match="has no decoder"):
            use()


PROGRAM = """
import pyro, torch
import pyro.distributions as dist


def make():
    weight, encoder = torch.nn.Linear(2, 64), torch.nn.Linear(64, 2)

    def model(x):
        pyro.module("weight", weight)
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(weight(z).reshape(-1, 1, 8, 8), 0.3).to_event(3), obs=x)

    def guide(x):
        pyro.module("encoder", encoder)
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(encoder(x.flatten(1)), 0.5).to_event(1))

    return model, guide
"""
