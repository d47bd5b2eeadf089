"""What a step costs: this project beside its peers, on this machine.

    python -m benchmarks.speed                             the whole table, half an hour or so on two cores
    python -m benchmarks.speed --batch-sizes 256 --particles 1 --guides MeanField

Every row lives in a process of its own, with its own allocator and precision settings; the processes take turns, one at
a time, a few steps each, round after round, so that a change of the machine's pace meets all of them. What is shown is
the median over the rounds. All rows take the same number of steps on the same images (MNIST's training images where
PYRO_VAE_DATA has them, synthetic ones elsewhere), and their losses after these must be finite and alike.
"""

import argparse
import datetime
import itertools
import json
import multiprocessing
import os
import platform
import resource
import statistics
import time
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.rows import ROWS, SHAPE, Case

ALIKE = 0.05  #: how far a row's loss may be from the median of all, relative; noise and initialisation differ


def gray_images(count: int) -> tuple[Tensor, str]:
    """Gray images ``(count, 1, 28, 28)`` and where they come from."""
    if root := os.environ.get("PYRO_VAE_DATA"):
        from pyro_vae.data import load_data

        return load_data("mnist", Path(root)).train.batch(slice(0, count)).cpu(), "MNIST"
    generator = torch.Generator().manual_seed(0)
    strokes = torch.rand(20, 1, 7, 7, generator=generator)
    templates = torch.nn.functional.interpolate(strokes, SHAPE[1:], mode="bicubic").clamp(0, 1) ** 4
    return templates[torch.randint(20, (count,), generator=generator)], "synthetic images"


def work(name: str, case: Case, threads: int, connection: Connection) -> None:
    """A row's process: make the row, then take as many steps as it is told, each time."""
    torch.set_num_threads(threads)
    count = max(1, 8192 // case.batch_size) * case.batch_size
    began = time.perf_counter()
    row = ROWS[name](case, gray_images(count)[0])
    row.run(2)
    connection.send(time.perf_counter() - began)
    while steps := connection.recv():
        began, busy = time.perf_counter(), time.process_time()
        loss = row.run(steps)
        spent, busy = time.perf_counter() - began, time.process_time() - busy
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        connection.send((spent / steps, busy / steps, loss, memory, getattr(row, "flops", None)))


def measure(case: Case, names: list[str], rounds: int, steps: int, threads: int, clock: str) -> list[dict[str, Any]]:
    """A table row for each name, in order."""
    context = multiprocessing.get_context("spawn")
    workers: dict[str, tuple[Any, Connection]] = {}
    results: dict[str, dict[str, Any]] = {}
    for name in names:
        here, there = context.Pipe()
        process = context.Process(target=work, args=(name, case, threads, there), daemon=True)
        process.start()
        there.close()
        workers[name] = (process, here)
        try:
            results[name] = {"row": name, "start_seconds": here.recv(), "ms": [], "cpu_ms": [], "loss": []}
        except EOFError:  # its traceback is on the terminal
            results[name] = {"row": name, "failed": True}
            del workers[name]
    for _ in range(rounds):
        for name, (_, connection) in workers.items():
            connection.send(steps)
            seconds, busy, loss, memory, flops = connection.recv()
            row = results[name]
            row["ms"].append(1000 * seconds)
            row["cpu_ms"].append(1000 * busy)
            row["loss"].append(loss)
            row.update(memory_mib=memory, **({"gflops": flops / 1e9} if flops else {}))
    for process, connection in workers.values():
        connection.send(0)
        process.join()
    for row in results.values():
        if "failed" not in row:
            row["median_ms"] = statistics.median(row[clock])
    return list(results.values())


def judge(table: list[dict[str, Any]]) -> None:
    """Say of each row whether its loss fell, and to where the others' did."""
    losses = [row["loss"][-1] for row in table if "median_ms" in row and "products" not in row["row"]]
    middle = statistics.median(losses) if losses else float("nan")
    for row in table:
        if "median_ms" in row and "products" not in row["row"]:
            first, last = row["loss"][0], row["loss"][-1]
            row["sound"] = abs(last / middle - 1) < ALIKE and (last < first or len(row["loss"]) == 1)


def show(case: Case, table: list[dict[str, Any]], clock: str) -> str:
    """The table in Markdown, with the ratios that matter."""
    by_name = {row["row"]: row["median_ms"] for row in table if "median_ms" in row}
    plain = by_name.get("Pyro, as its tutorial")
    numpyro = by_name.get("NumPyro, binarising")
    floor = min((ms for name, ms in by_name.items() if "products" in name), default=None)
    lines = [
        f"{case.guide}, batch {case.batch_size}, {case.particles} particle(s), {case.device}, {clock}",
        "",
        "| step | ms | x plain Pyro | x NumPyro | x floor | loss | peak MiB | ready in s |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in table:
        if "failed" in row:
            lines.append(f"| {row['row']} | failed | | | | | | |")
            continue
        ratios = [f"{row['median_ms'] / other:.2f}" if other else "" for other in (plain, numpyro, floor)]
        loss = "" if "sound" not in row else f"{row['loss'][-1]:.1f}" + ("" if row["sound"] else " (not alike)")
        cells = [f"{row['median_ms']:.2f}", *ratios, loss, f"{row['memory_mib']:.0f}", f"{row['start_seconds']:.0f}"]
        lines.append(f"| {row['row']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def machine(threads: int, images: str) -> dict[str, Any]:
    """Where and with what the numbers were made."""
    info = Path("/proc/cpuinfo")
    models = (
        [line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        if info.exists()
        else []
    )
    versions = {}
    for package in ("torch", "pyro-ppl", "numpyro", "jax", "pythae"):
        try:
            from importlib.metadata import version

            versions[package] = version(package)
        except ImportError:
            versions[package] = None
    return {
        "cpu": f"{models[0] if models else platform.processor()} ({os.cpu_count()} cores, {threads} threads)",
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "load": os.getloadavg(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "images": images,
        **versions,
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--guides", nargs="+", default=["MeanField", "IAF"])
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[100, 256, 2048])
    parser.add_argument("--particles", nargs="+", type=int, default=[1, 50])
    parser.add_argument("--rows", nargs="+", default=list(ROWS), help="some of: " + "; ".join(ROWS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=30, help="steps of a row in one round")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--clock",
        choices=["ms", "cpu_ms"],
        default="ms",
        help="time of the clock, or of the processor: of use with one thread where others use the machine, too",
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path, default=Path("speed.json"))
    options = parser.parse_args()

    report: dict[str, Any] = {"machine": machine(options.threads, gray_images(1)[1]), "cases": []}
    print(json.dumps(report["machine"], indent=1))
    for guide, size, particles in itertools.product(options.guides, options.batch_sizes, options.particles):
        case = Case(guide, size, particles, options.device)
        names = [name for name in options.rows if ROWS[name].suits(case)]
        steps = max(3, options.steps * 256 // (size * particles)) if size * particles > 256 else options.steps
        table = measure(case, names, options.rounds, steps, options.threads, options.clock)
        judge(table)
        print("\n" + show(case, table, options.clock), flush=True)
        report["cases"].append({**asdict(case), "steps_a_round": steps, "rows": table})
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
