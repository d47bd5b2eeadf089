"""Learning-rate schedules: each against its formula, found by name alone, here and in other packages."""

import math
from importlib.metadata import EntryPoint

import pytest

from pyro_vae import lr_schedules, plugs, svi
from pyro_vae.config import Config
from pyro_vae.errors import InputError
from pyro_vae.lr_schedules import lr_schedule
from pyro_vae.options import settings_from, settings_of
from pyro_vae.testing import check_lr_schedule

EXPECTED = {
    "constant": [1.0, 1.0, 1.0],
    "linear": [1.0, 0.75, 0.0],
    "cosine": [1.0, (1 + math.sqrt(0.5)) / 2, 0.0],
    "one_cycle": [0.1, (1 + math.cos(math.pi * 4 / 19)) / 2, 0.0],
    "stages": [1.0, 10 ** (-6 / 7), 0.1],  # 3^6 <= 1 + 6560 / 4 < 3^7
}


def declare(monkeypatch, **values):
    """Let an installed package declare learning-rate schedules by these import paths."""
    points = [EntryPoint(name, value, "pyro_vae.lr_schedules") for name, value in values.items()]
    monkeypatch.setattr(plugs, "entry_points", lambda group: [point for point in points if point.group == group])
    plugs.declared.cache_clear()


@pytest.fixture(autouse=True)
def _as_before():
    yield
    plugs.declared.cache_clear()


@pytest.mark.parametrize("name", lr_schedules.OWN)
def test_each_is_its_formula(name):
    assert [lr_schedule(name)(progress) for progress in (0.0, 0.25, 1.0)] == pytest.approx(
        EXPECTED.get(name), abs=1e-15
    ), f"give its formula: EXPECTED[{name!r}] is what it is at 0, 0.25 and 1"
    check_lr_schedule(lr_schedule(name))


def test_the_public_functions_of_the_file_are_the_schedules():
    assert set(lr_schedules.OWN) == set(EXPECTED)


@pytest.mark.parametrize("name", ["cosin", "math.cos", "pyro_vae.lr_schedules.cosine", ""])
def test_only_a_known_name_will_do_and_the_nearest_is_said(name):
    wanted = rf"no lr_schedule '{name}': .*known: constant, linear, cosine, one_cycle, stages$"
    with pytest.raises(InputError, match=wanted):
        Config(lr_schedule=name)
    with pytest.raises(InputError, match=wanted):
        settings_from(f"lr_schedule: '{name}'")
    with pytest.raises(InputError, match="nearest: cosine"):
        settings_of({"lr_schedule": "cosin"})


def test_one_that_an_installed_package_declares_is_found_by_its_name_and_takes_no_other_ones_place(monkeypatch, capsys):
    declare(monkeypatch, root="math:sqrt", cosine="math:cos")
    assert lr_schedule("root") is math.sqrt
    assert lr_schedule("cosine") is lr_schedules.cosine
    assert settings_of({"lr_schedule": "root"}).config.lr_schedule == "root"
    with pytest.raises(SystemExit):
        svi.main(["--help"])
    assert "{constant,cosine,linear,one_cycle,root,stages}" in capsys.readouterr().out


def test_a_declaration_of_something_else_is_said(monkeypatch):
    declare(monkeypatch, number="math:pi", gone="math:no_such_thing")
    with pytest.warns(UserWarning, match=r"'number' of 'math:pi' is no function|could not be imported"):
        assert set(lr_schedules.lr_schedules()) == set(EXPECTED)


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (lambda progress: 2 - progress, "at 0.0 it is 2.0, which is not in"),
        (lambda progress: 0.5, "its highest is 0.5"),
        (lambda progress, asked=[]: asked.append(1) or 1 / len(asked), "depends on what was asked before"),
        (lambda progress: "fast", "is a str and not a number"),
    ],
)
def test_what_is_wrong_is_said(schedule, words):
    with pytest.raises(AssertionError, match=words):
        check_lr_schedule(schedule)
