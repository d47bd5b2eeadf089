"""What OpenMP reads is set before PyTorch is imported, and a user's own choice stays."""

import os
import subprocess
import sys

import pytest

from pyro_vae.waiting import SPINS

NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
SEEN = f"import sys, os, pyro_vae; print([os.environ.get(n) for n in {NAMES}], 'torch' in sys.modules)"


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, [str(SPINS), None]),
        ({"GOMP_SPINCOUNT": "7"}, ["7", None]),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, [None, "ACTIVE"]),
    ],
    ids=["nothing", "a number", "a policy"],
)
def test_threads_wait_briefly_unless_the_user_chose(chosen, expected):
    environment = {k: v for k, v in os.environ.items() if k not in NAMES}
    told = subprocess.run(
        [sys.executable, "-c", SEEN], env={**environment, **chosen}, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == f"{expected} False"
