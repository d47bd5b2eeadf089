"""Numbers of NumPy and PyTorch at every door from Python, and torch's defaults, which decide no number."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import pyro_vae
from pyro_vae import estimators
from pyro_vae.data import load_data
from pyro_vae.defaults import torch_defaults
from pyro_vae.evaluate import evaluate
from pyro_vae.metrics import Options
from pyro_vae.options import settings_of
from pyro_vae.plain import plain
from pyro_vae.runs import RunFolder
from pyro_vae.sklearn import VAETransformer

SMALL = {"data": "digits", "epochs": 1, "engine": "eager", "final_samples": 2, "latent_dim": 2}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int64(3), 3),
        (np.uint8(3), 3),
        (np.float32(0.5), 0.5),
        (np.float64(0.1), 0.1),
        (np.bool_(True), True),
        (np.str_("IAF"), "IAF"),
        (np.array(3), 3),
        (torch.tensor(3), 3),
        (torch.tensor(0.5, dtype=torch.bfloat16), 0.5),
        (torch.tensor(True), True),
        (np.array([1, 2]), [1, 2]),
        (torch.tensor([[1, 2]]), [[1, 2]]),
        ((np.int64(1), [np.float32(2)]), (1, [2.0])),
        ({np.str_("a"): {"b": (np.array([3]),)}}, {"a": {"b": ([3],)}}),
        (np.array(["a", Path("b")], object), ["a", "b"]),
        (Path("a"), "a"),
        (None, None),
    ],
)
def test_a_value_is_made_plain(value, expected):
    found = plain(value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.array, torch.tensor, lambda v: np.asarray(v)[()]])
def test_options_of_every_kind_are_those_of_plain_numbers(kind):
    hidden = {"class_path": "MLPEncoder", "init_args": {"hidden_dims": [8, 4], "activation": "tanh"}}
    flow = {"class_path": "IAF", "init_args": {"transforms": 2}}
    expected = settings_of({**SMALL, "encoder": hidden, "guide": flow, "seed": 1, "lr": 0.5, "labels": 3}).text
    hidden = {
        "class_path": np.str_("MLPEncoder"),
        "init_args": {"hidden_dims": (kind(8), kind(4)), "activation": "tanh"},
    }
    flow = {"class_path": "IAF", "init_args": {"transforms": kind(2)}}
    numbers = {"epochs": kind(1), "latent_dim": kind(2), "final_samples": kind(2), "seed": kind(1), "labels": kind(3)}
    lr = torch.tensor(0.5) if kind is torch.tensor else np.float32(0.5)
    options = {**SMALL, **numbers, "data": np.str_("digits"), "encoder": hidden, "guide": flow, "lr": lr}
    assert settings_of(options).text == expected
    wide = {"class_path": "MLPEncoder", "init_args": {"hidden_dims": np.array([8, 4]), "activation": "tanh"}}
    assert settings_of({**options, "encoder": wide}).text == expected


def test_train_resume_load_and_features_take_them(tmp_path):
    run = pyro_vae.train(**{**SMALL, "seed": np.int64(1), "lr": np.float64(1e-3)}, out=tmp_path / "a", quiet=True)
    same = pyro_vae.train(**{**SMALL, "seed": 1}, out=tmp_path / "b", quiet=True)
    assert (tmp_path / "a/config.yaml").read_text() == (tmp_path / "b/config.yaml").read_text()
    pyro_vae.resume(tmp_path / "a", epochs=np.int64(2), device=np.str_("cpu"), quiet=True)
    assert RunFolder(tmp_path / "a").read_trace()[-1].epoch == 2
    run = pyro_vae.load(np.str_(tmp_path / "b"), np.str_("last"), np.str_("cpu"))
    x = load_data("digits").test.batch(slice(0, 5))
    expected = pyro_vae.features(same, x, "samples", 3, seed=7)
    for kind in (np.int64, np.array, torch.tensor):
        found = pyro_vae.features(run, x, np.str_("samples"), kind(3), seed=kind(7))
        assert torch.equal(found, expected)


def test_estimators_take_them(tmp_path):
    run = pyro_vae.train(**SMALL, out=tmp_path / "a", quiet=True)
    x = load_data("digits").test.batch(slice(0, 5))
    found = [estimators.iwae(run.model, run.guide, x, kind(6), seed=kind(3)).per_image for kind in (int, np.int64)]
    assert torch.equal(*found)
    few = Options(images=np.int64(3), iwae_samples=np.int64(20), elbo_samples=np.array(4), seed=np.int64(1))
    evaluate([tmp_path / "a"], few, ["iwae", "elbo"], train=False, quiet=True)
    written = (tmp_path / "a/metrics.json").read_text()
    evaluate(
        [tmp_path / "a"], replace(few, images=3, iwae_samples=20, elbo_samples=4, seed=1), ["iwae", "elbo"], train=False
    )
    assert (tmp_path / "a/metrics.json").read_text() == written


@pytest.fixture
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def numbers(out: Path) -> list[np.ndarray]:
    """What training, features, evaluation and the transformer give."""
    run = pyro_vae.train(**{**SMALL, "guide": "IAF"}, out=out, quiet=True)
    x = load_data("digits").test.batch(slice(0, 8))
    options = Options(images=4, gap_images=2, iwae_samples=10, elbo_samples=4, importance_samples=50, best_samples=10)
    small = replace(options, calibration_images=80, aggregate_images=5, gradient_images=5, gradient_repeats=4)
    few = {
        "annealing": estimators.Annealing(chains=2, temperatures=5),
        "local": estimators.LocalOptimization(max_steps=200),
    }
    small = replace(small, **few)
    found = evaluate([out], small, ["elbo", "iwae", "importance", "ais", "gap", "units", "calibration"], quiet=True)
    figures = [
        figure.value for table in found[0].values() for entry in table.values() for figure in entry.estimates.values()
    ]
    rows = load_data("digits").train.batch(slice(0, 60)).flatten(1).numpy()
    vae = VAETransformer(2, epochs=2, random_state=0).fit(rows)
    pyro_vae.resume(out, epochs=torch.tensor(2), quiet=True)
    again = pyro_vae.load(out)
    return [
        np.array([row[:9] for row in run.folder.read_trace()], dtype=str),
        pyro_vae.features(run, x).numpy(),
        pyro_vae.features(run, x, "samples", 2).numpy(),
        np.array(figures),
        vae.transform(rows),
        vae.inverse_transform(vae.transform(rows)),
        np.array(vae.score(rows)),
        *[value.numpy() for value in again.guide.state_dict().values()],
    ]


def test_a_default_type_of_float64_changes_no_number(tmp_path, double):
    found = numbers(tmp_path / "double")
    assert torch.get_default_dtype() == torch.float64
    torch.set_default_dtype(torch.float32)
    expected = numbers(tmp_path / "single")
    assert len(expected[3]) > 10
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_a_default_device_changes_no_number(tmp_path):
    expected = pyro_vae.train(**SMALL, out=tmp_path / "a", quiet=True)
    torch.set_default_device("meta")
    try:
        found = pyro_vae.train(**SMALL, out=tmp_path / "b", quiet=True)
        assert torch.get_default_device().type == "meta"
    finally:
        torch.set_default_device(None)
    for a, b in zip(found.guide.state_dict().values(), expected.guide.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_the_defaults_come_back_after_an_error(double):
    @torch_defaults()
    def fails():
        assert torch.get_default_dtype() == torch.float32
        raise RuntimeError("here")

    with pytest.raises(RuntimeError, match="here"):
        fails()
    assert torch.get_default_dtype() == torch.float64
