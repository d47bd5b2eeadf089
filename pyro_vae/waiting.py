"""PyTorch's threads wait for each other briefly awake, then asleep: set before PyTorch is imported, and once.

PyTorch shares out each operation over threads, which wait for each other at its end. GNU's OpenMP, in PyTorch's wheels
for Linux, lets them wait awake for about a millisecond. If another process uses one of two processors, the thread that
waits awake holds the other one. The last thread then takes turns with that process, and each operation takes as long as
a turn. Small runs were 5 to 100 times slower. A thread that sleeps leaves its processor to the last thread. OpenMP
itself takes this small number if it has more threads than processors, but it does not know other processes. Without
GNU's OpenMP the variables mean nothing.
"""

import os

SPINS = 1000  #: how often a thread looks before it sleeps

if "OMP_WAIT_POLICY" not in os.environ:  # a user who chose keeps the choice
    os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))
