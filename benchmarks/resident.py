"""What PyTorch's log1p and expm1 cost before and after this package is imported, one thread.

    python -m benchmarks.resident

Each function has a process of its own: one that has run leaves its constants in memory for the next.
"""

import argparse
import subprocess
import sys

from benchmarks.results import command, machine, table, write_section

FUNCTIONS = {
    "log1p": "torch.log1p(x)",
    "expm1": "torch.expm1(x)",
    "softplus": "F.softplus(x)",
    "Bernoulli likelihood of logits": "F.binary_cross_entropy_with_logits(x, ones, reduction='none')",
    "ELU": "F.elu(-x)",
    "exp": "torch.exp(x)",
}
PROCESS = """
import time, torch
from torch.nn import functional as F
torch.set_num_threads(1)
x, ones = torch.rand(100_000), torch.ones(100_000)
def nanoseconds():
    taken = []
    for _ in range(9):
        began = time.perf_counter()
        {call}
        taken.append(time.perf_counter() - began)
    return 1e9 * min(taken) / len(x)
before = nanoseconds()
import pyro_vae.engine
print(before, nanoseconds())
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options = parser.parse_args()
    rows = []
    for name, call in FUNCTIONS.items():
        done = subprocess.run(
            [sys.executable, "-c", PROCESS.format(call=call)], capture_output=True, text=True, check=True
        )
        before, after = map(float, done.stdout.split())
        rows.append([name, f"{before:.2f}", f"{after:.2f}", f"{before / after:.1f}"])
    columns = ["function, float32", "ns an element before", "after", "before / after"]
    write_section(
        "resident",
        "log1p and expm1 before and after the import",
        f"`{command('resident', parser, options)}` on {machine(1)}.\n\n"
        "Eager, 100,000 values, the least of nine times. `pyro_vae/resident.py` says why. In the section on a step, the"
        " rows of the peers import this package too, and have the times after it.\n\n" + table(columns, rows),
    )


if __name__ == "__main__":
    main()
