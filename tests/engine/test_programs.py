"""Programs of Pyro's kinds give, captured, the losses and parameters of ``pyro.infer.SVI``."""

import pytest

from benchmarks.programs import PROGRAMS, compare

#: those that are captured within some seconds; `python -m benchmarks.programs --engine captured` runs all
SLOW = {
    "attend_infer_repeat",
    "deep_markov_model",
    "capture_recapture",
    "hidden_markov_model",
    "regression_AutoIAFNormal",
    "switching_state_space",
    "linear_gaussian_state_space",
    "varying_slopes_with_a_learned_correlation",
}
FAST = sorted(set(PROGRAMS) - SLOW)[::2]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FAST)
def test_a_captured_program_gives_the_losses_and_parameters_of_pyros_svi(name):
    found, _, ours = compare(PROGRAMS[name], "captured", steps=6)
    assert not found.refusal
    assert found.loss < 1e-5
    assert found.parameters < 1e-3
    assert ours.svi._captured.graphs


def test_the_suite_is_large():
    assert len(PROGRAMS) >= 40
