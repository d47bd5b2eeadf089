"""Pictures of a run: each keeps its contract; broken ones are told what is wrong; one more changes no other."""

from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest
import torch
from matplotlib.figure import Figure

import pyro_vae.run_pictures as run_pictures_module
from pyro_vae import plugs, run_pictures
from pyro_vae.data import Binarizer, load_data
from pyro_vae.pictures import figure_bytes
from pyro_vae.run_pictures import OWN, RunPicture, figures_of
from pyro_vae.testing import check_run_picture


@pytest.mark.parametrize("name", OWN)
def test_each_keeps_its_contract(name):
    check_run_picture(OWN[name])


def test_every_picture_that_is_drawn_here_is_declared():
    drawn = {
        name
        for name, one in vars(run_pictures).items()
        if getattr(one, "__annotations__", {}).keys() == {"of", "return"}
    }
    declared = {one.draw.__name__ for one in OWN.values()}
    assert not (missing := drawn - declared), "\n".join(
        f'add to OWN: RunPicture("...", {name}, "title", "alt"),' for name in missing
    )


def noisy(of):
    figure = Figure()
    figure.subplots().plot(torch.rand(5))
    return figure


def forgetful(of, calls=[]):  # noqa: B006 (counts its calls)
    calls.append(1)
    figure = Figure()
    figure.subplots().plot(range(1 + len(calls)))
    return figure


def spoiling(of):
    next(of.guide.parameters()).add_(1)
    return Figure()


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (RunPicture("two words", noisy, "A", "b"), "its name must be letters"),
        (RunPicture("trace", noisy, "A", "b"), "trace is the name of another picture"),
        (RunPicture("a", noisy, "A", ""), "the report needs its title and its alt"),
        (RunPicture("a", lambda of: 3, "A", "b"), "draws a int, no matplotlib Figure"),
        (RunPicture("a", forgetful, "A", "b"), "differs when it is drawn again"),
        (RunPicture("a", spoiling, "A", "b"), "changes the model or the guide"),
        (noisy, "is no RunPicture"),
    ],
)
def test_what_is_wrong_is_said(picture, words):
    with pytest.raises(AssertionError, match=words):
        check_run_picture(picture)


def test_one_of_an_installed_package_is_drawn_and_changes_no_other(train, monkeypatch):
    folder = train("run", "--guide", "MeanField")
    from pyro_vae import load

    run = load(folder.path)
    drawn = (run.model, run.guide, load_data("digits"), Binarizer(False))
    before = {name: figure_bytes(figure) for name, figure in figures_of(*drawn).items()}
    points = [EntryPoint("noise", "test_run_pictures:NOISE", "pyro_vae.run_pictures")]
    monkeypatch.setattr(plugs, "entry_points", lambda group: [point for point in points if point.group == group])
    plugs.declared.cache_clear()
    after = {name: figure_bytes(figure) for name, figure in figures_of(*drawn).items()}
    plugs.declared.cache_clear()
    assert after.keys() == {*before, "noise"}
    assert {name: after[name] for name in before} == before


NOISE = replace(OWN["latent"], name="noise", draw=noisy)


def test_large_images_are_shown_smaller_and_others_as_they_are():
    large = torch.linspace(0, 1, 2 * 3 * 1000 * 600).view(2, 3, 1000, 600)
    small = run_pictures_module._small(large)
    assert small.shape == (2, 3, 250, 150)
    torch.testing.assert_close(small.mean((2, 3)), large.mean((2, 3)))
    assert run_pictures_module._small(large.view(1, 2, 3, 1000, 600)).shape == (1, 2, 3, 250, 150)
    assert run_pictures_module._small(torch.rand(1, 1, 2000, 1)).shape == (1, 1, 250, 1)
    as_it_is = torch.rand(2, 1, 256, 256)
    assert run_pictures_module._small(as_it_is) is as_it_is
