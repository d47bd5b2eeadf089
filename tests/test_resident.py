"""The constant of PyTorch's log1p is in memory in every process; ``benchmarks.resident`` has the times."""

import os
import subprocess
import sys

import pytest

READS = """
import os, sys, torch
read, own = [], torch.Tensor.log1p
torch.Tensor.log1p = lambda x: read.append((x.dtype, bool((x.signbit() & (x == 0)).any()), len(x))) or own(x)
"""


def said(code):
    done = subprocess.run([sys.executable, "-c", READS + code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", ["engine", "estimators", "evaluate", "svi", "use", "sklearn", "explore.command"])
def test_whatever_computes_reads_the_constant_of_minus_0_first(module):
    """In whole vectors of both types."""
    read = said(f"import pyro_vae.{module}; print(read)")
    assert read == "[(torch.float32, True, 64), (torch.float64, True, 64)]\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_process_reads_it_again():
    code = """
import pyro_vae.engine
read.clear()
if os.fork():
    os.wait()
else:
    print(len(read), flush=True)
    os._exit(0)
"""
    assert said(code) == "2\n"
