"""From the measurements of :mod:`benchmarks.speed` to tables and verdicts in Markdown."""

import statistics
from math import isfinite
from typing import Any, NamedTuple

from benchmarks.results import table

ALIKE = 0.05  #: the largest relative distance of a row's loss from the median of all; noise and initialisation differ

PYRO, NUMPYRO, COMPILED, REPLAYED = "Pyro, as its tutorial", "NumPyro, binarising", "compiled", "cudagraph"
BINARISING, BF16_BINARISING = "compiled, binarising", "compiled, bf16, binarising"
REPLAYED_COMPILED, REPLAYED_BINARISING = "cudagraph, compiled", "cudagraph, compiled, binarising"
FLOOR = "products alone"  #: the start of the names of the rows with only the step's matrix products


def judge(rows: list[dict[str, Any]]) -> None:
    """Judge for each row whether its loss fell, and to the level of the others."""
    trained = [row for row in rows if "median_ms" in row and not row["row"].startswith(FLOOR)]
    finite = [row["loss"][-1] for row in trained if isfinite(row["loss"][-1])]
    middle = statistics.median(finite) if finite else float("nan")
    for row in trained:
        first, last = row["loss"][0], row["loss"][-1]
        row["sound"] = abs(last / middle - 1) < ALIKE and (last < first or len(row["loss"]) == 1)


def milliseconds(case: dict[str, Any]) -> dict[str, float]:
    """The median time of a step of each row that ran; ``products alone`` is the better library's."""
    times = {row["row"]: row["median_ms"] for row in case["rows"] if "median_ms" in row}
    floors = [ms for name, ms in times.items() if name.startswith(FLOOR)]
    return times | ({FLOOR: min(floors)} if floors else {})


def show(case: dict[str, Any]) -> str:
    """The table of one case, with the ratios that matter."""
    times = milliseconds(case)
    lines = []
    for row in case["rows"]:
        if "failed" in row:
            lines.append([row["row"], "failed", *[""] * 6])
            continue
        ratios = [
            f"{row['median_ms'] / times[other]:.2f}" if other in times else "" for other in (PYRO, NUMPYRO, FLOOR)
        ]
        loss = "" if "sound" not in row else f"{row['loss'][-1]:.1f}" + ("" if row["sound"] else " (not alike)")
        memory = "" if row["memory_mib"] is None else f"{row['memory_mib']:.0f}"
        time = f"{row['median_ms']:.2f} ± {row['spread_ms']:.2f}"
        lines.append([row["row"], time, *ratios, loss, memory, f"{row['start_seconds']:.0f}"])
    columns = ["step", "ms", "x plain Pyro", "x NumPyro", "x products", "loss", "MiB", "ready in s"]
    title = f"**{case['guide']}, batch {case['batch_size']}, {case['particles']} particle(s), {case['device']}**"
    return f"{title}\n\n{table(columns, lines)}"


class Target(NamedTuple):
    """A ratio of two rows of one case that is wanted: ``ours`` at most ``most`` times ``theirs``."""

    words: str
    ours: str
    theirs: str
    most: float
    batch_size: int = 256
    particles: int = 1
    device: str = "cpu"


OWN_PRODUCTS = "float32 beside its own products, not binarising"
TARGETS = [
    Target(OWN_PRODUCTS, COMPILED, FLOOR, 1.25),
    Target(OWN_PRODUCTS, COMPILED, FLOOR, 1.4, batch_size=100),
    Target(OWN_PRODUCTS, COMPILED, FLOOR, 1.2, batch_size=2048),
    Target("float32 beside NumPyro, both binarising", BINARISING, NUMPYRO, 0.95, batch_size=100),
    Target("bfloat16 beside NumPyro's float32, both binarising", BF16_BINARISING, NUMPYRO, 0.75, batch_size=100),
    Target("float32 beside plain Pyro, neither binarising", COMPILED, PYRO, 0.30),
    Target("float32 beside NumPyro, both binarising", BINARISING, NUMPYRO, 0.70),
    Target("bfloat16 beside NumPyro's float32, both binarising", BF16_BINARISING, NUMPYRO, 0.5),
    Target("IWAE with 50 particles beside its own products, binarising", BINARISING, FLOOR, 1.3, particles=50),
    Target("the CUDA graph beside plain Pyro", REPLAYED, PYRO, 0.10, device="cuda"),
    Target("the compiled one beside NumPyro, both binarising", REPLAYED_BINARISING, NUMPYRO, 0.95, 100, device="cuda"),
    Target("the compiled one beside NumPyro, both binarising", REPLAYED_BINARISING, NUMPYRO, 0.70, device="cuda"),
]


def targets(cases: list[dict[str, Any]]) -> str:
    """For each target that the measured cases can judge: the target, the measurement, and whether it is met.

    If a step's float32 products alone take longer than the target allows, the table says so. Empty if the cases can
    judge no target.
    """
    lines = []
    for case in cases:
        times = milliseconds(case)
        for target in TARGETS:
            asked = target.batch_size, target.particles, target.device
            here = asked == (case["batch_size"], case["particles"], case["device"])
            if not here or not {target.ours, target.theirs} <= times.keys():
                continue
            ratio = times[target.ours] / times[target.theirs]
            verdict = "met" if ratio <= target.most else "not met"
            least = times.get(FLOOR, 0.0) / times[target.theirs]
            if ratio > target.most and "bf16" not in target.ours and least > target.most:
                verdict += f": the products alone take {least:.2f}"
            lines.append(
                [
                    f"{case['guide']}, batch {case['batch_size']}: {target.words}",
                    f"{target.most:.2f}",
                    f"{ratio:.2f}",
                    verdict,
                ]
            )
    return table(["target, as a ratio of step times", "at most", "found", "verdict"], lines) if lines else ""
