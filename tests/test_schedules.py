"""Schedules of the KL weight against their formulas."""

import pytest

from pyro_vae.schedules import BetaSchedule, Constant, Cyclical, Linear

PROGRESS = [i / 40 for i in range(41)]


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 4.0])
def test_constant(beta):
    assert {Constant(beta)(p) for p in PROGRESS} == {beta}


@pytest.mark.parametrize(("warmup", "start"), [(0.25, 0.0), (0.5, 0.2), (1.0, 0.0), (1.0, 1.0), (0.5, 5.0)])
def test_linear(warmup, start):
    for p in PROGRESS:
        expected = start + (1 - start) * p / warmup if p < warmup else 1.0
        assert Linear(warmup, start)(p) == pytest.approx(expected, abs=1e-12)


def test_no_warmup_is_the_elbo_from_the_first_step():
    assert {Linear(0.0)(p) for p in PROGRESS} == {1.0}
    assert {Cyclical(3, rising=0.0)(p) for p in PROGRESS} == {1.0}


@pytest.mark.parametrize(("cycles", "rising"), [(1, 0.5), (4, 0.5), (4, 1.0), (5, 0.25)])
def test_cyclical_is_fus_equation_6(cycles, rising):
    # Their step t of T stands at tau = mod(t - 1, T / M) / (T / M); here t - 1 = 40 p steps of T = 40.
    for t in range(40):
        tau = (t % (40 // cycles)) / (40 // cycles)
        expected = tau / rising if tau <= rising else 1.0
        assert Cyclical(cycles, rising)(t / 40) == pytest.approx(expected, abs=1e-9)
    assert Cyclical(cycles, rising)(1.0) == 1.0


@pytest.mark.parametrize("schedule", [Constant(), Linear(), Linear(0.0), Cyclical(), Cyclical(7, 0.3)])
def test_every_default_ends_at_the_elbo(schedule):
    assert isinstance(schedule, BetaSchedule)
    assert schedule(1.0) == 1.0
    assert all(0 <= schedule(p) <= 1 for p in PROGRESS)


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: Constant(-0.1), "beta must not be negative"),
        (lambda: Constant(float("nan")), "beta must not be negative"),
        (lambda: Linear(1.5), "warmup must lie between 0 and 1"),
        (lambda: Linear(0.5, -1.0), "start must not be negative"),
        (lambda: Cyclical(0), "cycles must be at least 1"),
        (lambda: Cyclical(2, 2.0), "rising must lie between 0 and 1"),
    ],
)
def test_wrong_numbers_are_refused(build, says):
    with pytest.raises(ValueError, match=says):
        build()
