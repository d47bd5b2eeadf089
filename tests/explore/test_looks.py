"""The numbers of an image are those of the Python functions, and the regions hold the mass that they say."""

import base64

import numpy as np
import pytest
import torch
from matplotlib.path import Path as Outline

import pyro_vae
from pyro_vae.estimators import elbo, importance, log_evidence, planes, posterior
from pyro_vae.estimators.grid import grid_evidence, posterior_grid
from pyro_vae.estimators.sampling import posterior_draws
from pyro_vae.evaluate import evaluate
from pyro_vae.explore import look, worst
from pyro_vae.explore.command import exhibited
from pyro_vae.explore.opened import open_runs
from pyro_vae.metrics import Options

IMAGE = 5


@pytest.fixture(scope="module")
def seen(exhibit):
    """A test image as the model of each run sees it."""
    return [opened.subject.x[IMAGE, None] for opened in exhibit.opened]


@pytest.mark.parametrize("run", [0, 1])
def test_elbo_k_hat_and_reconstruction_are_those_of_python(client, exhibit, seen, run):
    found, of, x = client.ask("own", run=run, image=IMAGE), exhibit.opened[run].run, seen[run]
    assert found["elbo"] == elbo(of.model, of.guide, x, look.ELBO_DRAWS).elbo.to_dict()
    assert found["k_hat"] == importance(of.model, of.guide, x, look.K_HAT_DRAWS).k_hat.to_dict()
    again = pyro_vae.reconstruct(of, x, num_samples=look.RECONSTRUCTION_DRAWS)
    shown = (again.clamp(0, 1) * 255 + 0.5).to(torch.uint8).permute(0, 2, 3, 1)
    pixels = np.frombuffer(base64.b64decode(found["reconstruction"]["pixels"]), np.uint8)
    assert np.array_equal(pixels, shown.numpy().ravel())
    assert found["code"] == posterior_draws(of.guide, x, look.SHOWN_DRAWS).mean(0)[0].tolist()


def test_log_p_x_is_the_grids_in_two_dimensions_and_annealed_in_more(client, exhibit, seen):
    plain, flow = (client.ask("evidence", run=run, image=IMAGE) for run in (0, 1))
    of = exhibit.opened[0].run
    assert plain["evidence"]["value"] == grid_evidence(of.model, seen[0]).item()
    assert plain["evidence"]["sampling_error"] < 1e-3
    of = exhibit.opened[1].run
    assert flow["evidence"] == log_evidence(of.model, of.guide, seen[1]).to_dict()
    for run, found in enumerate((plain, flow)):
        bound, gap = client.ask("own", run=run, image=IMAGE)["elbo"], found["gap"]
        assert gap["value"] == found["evidence"]["value"] - bound["value"]
        assert gap["sampling_error"] == pytest.approx(
            np.hypot(bound["sampling_error"], found["evidence"]["sampling_error"])
        )


def within(lines, draws):
    """The share of draws ``(S, 2)`` within the larger and the smaller of two regions that have one line each."""
    assert len(lines) == 2
    return [Outline(line).contains_points(draws).mean() for line in lines]


def test_the_regions_in_two_dimensions_hold_their_mass(client, exhibit, seen):
    found, of = client.ask("regions", run=0, image=IMAGE, axes=[0, 1]), exhibit.opened[0].run
    assert found["how"] == "grid"
    q = posterior_draws(of.guide, seen[0], 20_000, seed=1)[:, 0].numpy()
    assert within(found["own"], q) == pytest.approx([0.9, 0.5], abs=0.015)
    grid = posterior_grid(of.model, seen[0][0])
    places = np.stack(np.meshgrid(grid.first, grid.second, indexing="ij"), -1).reshape(-1, 2)
    inside = [Outline(line).contains_points(places) for line in found["true"]]
    assert [grid.share.flatten().numpy()[one].sum() for one in inside] == pytest.approx([0.9, 0.5], abs=0.02)
    turned = client.ask("regions", run=0, image=IMAGE, axes=[1, 0])
    assert [[y, x] for x, y in found["own"][0]] == turned["own"][0]


def test_in_more_dimensions_they_are_those_of_draws_and_the_plane_of_most_difference_is_named(client, exhibit, seen):
    found, of = client.ask("regions", run=1, image=IMAGE, axes=[3, 1]), exhibit.opened[1].run
    p = posterior(of.model, of.guide, seen[1]).resampled(look.SHOWN_DRAWS)
    q = posterior_draws(of.guide, seen[1], look.SHOWN_DRAWS)
    assert found["apart"] == planes(p, q)[0].tolist()
    largest = max((line for line in found["true"]), key=len)
    assert Outline(largest).contains_points(p[:, 0, [3, 1]].numpy()).mean() > 0.7


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"image": 250}, "from 0 to 249"),
        ({"drawn": 99}, "draw it again"),
        ({"image": 0, "axes": [1, 1]}, "the two axes of a plane differ"),
        ({"image": 0, "axes": [0, 2]}, "from 0 to 1"),
        ({"image": 0, "axes": "01"}, "axes is a whole number"),
    ],
)
def test_looks_that_cannot_be_are_refused(client, fields, words):
    assert words in client.ask("regions", status=400, **{"run": 0, "axes": [0, 1], **fields})["error"]


def test_between_two_images_the_codes_are_on_a_line(client, exhibit):
    first, last = client.ask("codes", run=1)[[2, 9]]
    line = [(first + share * (last - first)).tolist() for share in (0, 0.25, 0.5, 0.75, 1)]
    decoded, found = client.ask("decode", run=1, z=line), client.ask("line", run=1, first=2, last=9, count=5)
    assert np.abs(decoded.astype(int) - found).max() <= 1
    assert np.abs(found[0].astype(int) - found[-1]).max() > 20


def test_the_worst_images_are_measured_on_demand(client, exhibit):
    assert client.ask("worst", run=0) == {"inference_gap": None, "k_hat": None}
    found = client.ask("worst", run=0, measure=True)
    of, few = exhibit.opened[0].run, exhibit.opened[0].subject.x[: worst.FEW["k_hat"]]
    k_hat = importance(of.model, of.guide, few, look.K_HAT_DRAWS).k_hat.per_image
    assert [one["image"] for one in found["k_hat"]["worst"]] == k_hat.argsort(descending=True)[:8].tolist()
    assert found["k_hat"]["worst"][0]["value"] == k_hat.max().item()
    few = few[: worst.FEW["inference_gap"]]
    gap = (
        log_evidence(of.model, of.guide, few).per_image - elbo(of.model, of.guide, few, look.ELBO_DRAWS).elbo.per_image
    )
    assert found["inference_gap"]["worst"][0] == {"image": int(gap.argmax()), "value": gap.max().item()}
    assert "measured now on the first 16" in found["inference_gap"]["how"]


def test_what_evaluate_has_measured_is_taken_unless_the_weights_are_others(exhibit):
    opened = exhibit.opened[0]
    options = Options(images=30, importance_samples=50)
    evaluate([opened.run.folder.path], options, ["importance"], train=False, device="cpu", quiet=True)
    again = open_runs([opened.run], None, torch.device("cpu"), False).opened[0]
    listed = worst.known(again, "k_hat")
    expected = importance(again.run.model, again.run.guide, again.subject.x[:30], 50).k_hat
    assert listed.values.mean().item() == pytest.approx(expected.value, abs=0.1)
    assert "evaluate measured them on the first 30" in listed.how
    assert worst.known(again, "inference_gap") is None
    other = again.run._replace(weights="other")
    assert worst.known(type(again)(again.name, other, again.subject, again.activity), "k_hat") is None


def test_a_run_on_images_with_missing_pixels_is_shown(tmp_path):
    x = np.random.default_rng(0).random((60, 8, 8), dtype=np.float32)
    x[:, 4:] = np.nan
    np.save(tmp_path / "x.npy", x)
    small = {"epochs": 1, "final_samples": 2, "engine": "eager", "latent_dim": 2, "quiet": True}
    of = {"likelihood": "Gaussian", "missing": "mask"}
    pyro_vae.train(data=str(tmp_path / "x.npy"), out=tmp_path / "run", **of, **small)
    (opened,) = exhibited([tmp_path / "run"], device="cpu").opened
    assert opened.codes.isfinite().all()
    assert opened.activity.isfinite().all()
    seen = opened.subject.x[:1]
    assert (opened.shown(seen)[:, 4:] == 128).all()
    found = look.own(opened, seen)
    assert np.isfinite(found.elbo.value)
    assert found.reconstruction.isfinite().all()
