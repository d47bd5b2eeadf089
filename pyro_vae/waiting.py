"""PyTorch's threads wait for each other briefly awake, then asleep: set before PyTorch is imported, and once.

PyTorch shares out each operation over threads, which wait for each other at its end. GNU's OpenMP, in PyTorch's wheels
for Linux, lets them wait awake for about a millisecond. While another process has one of the processors, a thread that
waits awake keeps the other thread from that place, and each operation takes as long as a turn of the scheduler: with
two processors a small run is a hundred times slower. OpenMP itself takes this small number where there are more threads
than processors, but it knows only its own. Without GNU's OpenMP the variables mean nothing.
"""

import os

SPINS = 1000  #: how often a thread looks before it sleeps

if "OMP_WAIT_POLICY" not in os.environ:  # a user who chose keeps the choice
    os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))
