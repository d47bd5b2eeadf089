"""Programs of Pyro's kinds give, captured, the losses and parameters of ``pyro.infer.SVI``."""

import math

import pytest

from benchmarks.programs import PROGRAMS, compare

#: those that are captured within some seconds; `python -m benchmarks.programs --engine captured` runs all
SLOW = {
    "attend_infer_repeat",
    "deep_markov_model",
    "capture_recapture",
    "hidden_markov_model",
    "regression_AutoIAFNormal",
}
FAST = sorted(set(PROGRAMS) - SLOW)[::2]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FAST)
def test_a_captured_program_gives_the_losses_and_parameters_of_pyros_svi(name):
    found = compare(PROGRAMS[name], "captured", steps=6, rounds=0)
    assert not found.refusal
    assert found.loss < 1e-5
    assert found.parameters < 1e-3
    assert math.isnan(found.speed)


def test_the_suite_is_large():
    assert len(PROGRAMS) >= 40
