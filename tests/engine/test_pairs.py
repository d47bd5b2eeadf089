"""Programs in NumPyro beside the suite's: the same arithmetic, and tables that say what was measured."""

import pytest
import torch

from benchmarks.program_arms import Arm, start_of
from benchmarks.program_tables import apart, verdict
from benchmarks.programs import PROGRAMS, pairs
from pyro_vae import SVI


def record(name, ours, numpyro, **other):
    """A measured program; the times are of each round."""
    times = {"pyro": [10.0, 12.0, 11.0], "ours": ours, "numpyro": numpyro}
    found = {"loss": 1e-7, "parameters": 1e-7, "amplified": 1e-7, "refusal": "", "uncompiled": ""}
    return {
        "name": name,
        **found,
        "ms": times,
        "pair": {"ours": [1.0, 1.1, 0.9], "numpyro": [1.05, 1.0, 0.95]},
        **other,
    }


def test_sentences_follow_from_the_records():
    fast = record("a", [1.0, 1.0, 1.0], [2.0, 2.0, 2.0])
    slow = record("b", [0.5, 0.5, 0.5], [0.25, 0.25, 0.25], loss=1e-2, amplified=2e-2)
    refused = {"name": "c", "refusal": "no static graph: a.py:1"}
    said = verdict([fast, slow, refused], [fast, slow], [fast, slow])
    assert "2 of 3 are captured" in said
    assert "16.5 times as fast" in said  # the median of 11 and 22
    assert "1 ms or more (1 programs), this SVI's takes 0.50 times as long" in said
    assert "less than 1 ms (1 programs), this SVI's takes 2.00 times as long" in said
    assert "b (1e-02; Pyro's own, nudged, 2e-02)" in said
    assert "All 2 pairs agree" in said


def test_a_pair_that_is_another_program_is_named():
    other = record("a", [1.0] * 3, [1.0] * 3, pair={"ours": [1.0, 1.01, 0.99], "numpyro": [2.0, 2.01, 1.99]})
    difference, error = apart(other)
    assert difference == pytest.approx(-1.0)
    assert error < 0.01
    assert "The losses of a are further than 4 standard errors from NumPyro's." in verdict([other], [other], [other])


@pytest.mark.parametrize("name", ["gaussian_process", "regression_AutoDelta"])
def test_a_pair_without_random_numbers_has_the_same_losses(name):
    pytest.importorskip("numpyro")
    from benchmarks.numpyro_arm import NumPyroArm

    assert name in pairs()
    start = start_of(PROGRAMS[name])
    theirs = NumPyroArm(name, {key: value.numpy() for key, value in start.items()})
    ours = Arm(PROGRAMS[name], SVI, engine="eager")
    ours.step()
    ours.restart(start, 0)
    losses = torch.tensor([[ours.step(), theirs.step()] for _ in range(10)])
    torch.testing.assert_close(losses[:, 0], losses[:, 1], rtol=1e-4, atol=1e-4)
    assert losses[0, 0] - losses[-1, 0] > 0.5


def test_twelve_programs_and_more_are_pairs_of_the_suite():
    pytest.importorskip("numpyro")
    assert len(pairs()) >= 12
    assert set(pairs()) <= set(PROGRAMS)
