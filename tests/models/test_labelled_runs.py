"""Runs with labels: semi-supervised and conditional."""

import numpy as np
import pytest
import torch

from pyro_vae import features, load, resume
from pyro_vae.data import load_data
from pyro_vae.errors import InputError
from pyro_vae.estimators import label_bounds
from pyro_vae.evaluate import main as evaluate
from pyro_vae.svi import main

SMALL = ["--final-samples", "5", "--encoder.hidden_dims", "[16]", "--decoder.hidden_dims", "[16]", "--engine", "eager"]


SEMI = [
    "--model",
    "M2",
    "--objective",
    "TraceEnum_ELBO",
    "--labels",
    "60",
    "--lr",
    "5e-3",
    "--model.alpha",
    "10",
    "--latent-dim",
    "2",
    *SMALL,
]


@pytest.mark.pictures
def test_a_semi_supervised_run_learns_and_resumes_bit_by_bit(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    main([*SEMI, "--epochs", "6", "--out", str(whole)])
    main([*SEMI, "--epochs", "3", "--out", str(parts)])
    resume(parts, epochs=6)
    first, second = load(whole), load(parts)
    assert [row[:8] for row in first.folder.read_trace()] == [row[:8] for row in second.folder.read_trace()]
    for a, b in zip(first.guide.parameters(), second.guide.parameters(), strict=True):
        assert torch.equal(a, b)
    data = load_data("digits")
    x, labels = data.test.batch(slice(0, 250)), data.test.labels
    error = (first.guide.log_label(x).argmax(1) != labels).float().mean()
    assert error < 0.4  # of 60 labels; a guess has 0.9
    assert features(first, x).shape == (250, 2)
    assert {path.stem for path in first.folder.figures.glob("*.png")} >= {"analogies", "class_samples", "latent"}
    only = ["--only", "elbo,units,gap", "--images", "20", "--gap_images", "2", "--elbo_samples", "4", "--device", "cpu"]
    fast = ["--iwae_samples", "5", "--evidence_images", "2", "--evidence.fit.steps", "5", "--quiet", "true"]
    evaluate([str(whole), *only, *fast])
    measured = first.folder.read_metrics()["evaluation"]["test"]
    bound = measured["elbo"]["figures"]["elbo"]["value"]
    assert bound == pytest.approx(first.folder.read_trace()[-1].elbo, abs=12)  # other images, a fifth as many
    assert "no gradient" in measured["gap"]["not_defined"]


def test_a_conditional_run_is_shown_the_labels_of_test_images_too(tmp_path):
    main(
        [
            "--model",
            "ConditionalVAE",
            "--epochs",
            "12",
            "--lr",
            "5e-3",
            "--latent-dim",
            "2",
            *SMALL,
            "--out",
            str(tmp_path / "run"),
        ]
    )
    run = load(tmp_path / "run")
    data = load_data("digits")
    x, labels = data.test.batch(slice(0, 250)), data.test.labels
    bounds = label_bounds(run.model, run.guide, x)
    assert (bounds.argmax(1) != labels).float().mean() < 0.25
    drawn = run.model(y=torch.arange(10).repeat(30))
    assert drawn.shape == (300, 1, 8, 8)
    # What is drawn of a class is nearest to the mean image of that class, more often than not.
    train = data.train.batch(slice(0, len(data.train)))
    means = torch.stack([train[data.train.labels == c].mean(0) for c in range(10)]).flatten(1)
    nearest = torch.cdist(drawn.flatten(1), means).argmin(1)
    assert (nearest == torch.arange(10).repeat(30)).float().mean() > 0.6
    with pytest.raises(InputError, match="no features of images without their labels"):
        features(run, x)
    evaluate([str(tmp_path / "run"), "--only", "elbo", "--images", "20", "--quiet", "true", "--device", "cpu"])
    assert "without its label" in run.folder.read_metrics()["evaluation"]["test"]["elbo"]["not_defined"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--labels", "50"], "VAE sees none in any case"),
        (["--labelled-batch-size", "7"], "labelled-batch-size is for models that see some of the labels, .* not VAE"),
        (
            ["--model", "ConditionalVAE", "--labelled-batch-size", "7"],
            "of the labels, as M2 does, and not ConditionalVAE",
        ),
        (["--model", "M2", "--labels", "5000"], "at most the 1297 training images"),
        (["--model", "ConditionalVAE", "--labels", "50"], "needs the label of every image"),
        (["--model", "M2", "--model.alpha", "-1"], "alpha must not be negative"),
        (["--model", "M2", "--data", "{npy}"], "has no labels"),
        (["--model", "M2", "--guide", "Delta"], "Delta cannot be given labels"),
    ],
)
def test_what_has_no_sense_is_said_in_one_line(tmp_path, flags, said):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((300, 1, 8, 8)))
    flags = [flag.format(npy=tmp_path / "x.npy") for flag in flags]
    with pytest.raises(InputError, match=said) as error:
        main([*flags, "--out", str(tmp_path / "run")])
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_an_npz_file_may_have_splits_and_labels_of_its_own(tmp_path):
    random = np.random.default_rng(0)
    arrays = {f"x_{part}": random.normal(size=(n, 1, 1, 5)) for part, n in (("train", 30), ("test", 7))}
    labels = {"y_train": random.integers(-1, 3, 30), "y_test": random.integers(0, 3, 7)}
    np.savez(tmp_path / "a.npz", **arrays, **labels)
    data = load_data(str(tmp_path / "a.npz"))
    assert [len(part) for part in (data.train, data.validation, data.test)] == [27, 3, 7]
    assert data.num_classes == 3
    np.testing.assert_allclose(data.test.batch(slice(0, 7)).numpy(), arrays["x_test"], rtol=1e-6)
    np.testing.assert_array_equal(data.validation.labels.numpy(), labels["y_train"][-3:])
    np.savez(tmp_path / "b.npz", **arrays, x_validation=arrays["x_test"][:, :, :, :2])
    with pytest.raises(InputError, match="different shapes"):
        load_data(str(tmp_path / "b.npz"))


@pytest.mark.filterwarnings(r"ignore:[\s\S]*you need to use TraceEnum_ELBO")  # Pyro's own word
@pytest.mark.parametrize("objective", ["Trace_ELBO", "TraceEnum_ELBO"])
def test_a_run_says_that_its_hidden_labels_are_drawn(objective, tmp_path, capsys):
    main(
        [
            "--model",
            "M2",
            "--objective",
            objective,
            "--labels",
            "50",
            *SMALL,
            "--epochs",
            "1",
            "--out",
            str(tmp_path / "r"),
        ]
    )
    assert ("hidden labels are drawn" in "".join(capsys.readouterr())) == (objective == "Trace_ELBO")
