"""The cost of a step: this project beside its peers, on this machine.

    python -m benchmarks.speed                             the tables of RESULTS.md, twelve minutes or so on two cores
    python -m benchmarks.speed --cases MeanField/256/1     one case, and nothing is written but the JSON file

Every row has its own process, with its own allocator and precision settings; the processes take turns, one at a time, a
few steps each, round after round, so that a change of the machine's pace affects all of them. A training takes
thousands of steps in a row, but at the start of a turn the caches hold what the others used: some steps, a fifth as
many as are timed, come before those. The tables show the median over the rounds, ± half of their interquartile range.
All rows take the same number of steps on the same images (MNIST's training images if PYRO_VAE_DATA has them, otherwise
synthetic ones), and their final losses must be finite and alike. MiB is the peak memory of the steps, beyond the memory
of the process before the first: gradients, the optimizer's state, tensors kept for the backward pass, and the
compiler's remains. The time until a row is ready includes its imports, its compilation (each row has an empty cache of
Inductor's) and two steps; on CUDA five, because a graph is recorded at the fourth, and all rows of a case are made
ready at once.
"""

import argparse
import datetime
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from benchmarks import memory
from benchmarks.results import command, machine, write_section
from benchmarks.row import Case, Row, gray_images
from benchmarks.rows import ROWS
from benchmarks.speed_tables import (
    BF16_BINARISING,
    BINARISING,
    COMPILED,
    NUMPYRO,
    PYRO,
    REPLAYED,
    REPLAYED_BINARISING,
    REPLAYED_COMPILED,
    judge,
    show,
    targets,
)
from pyro_vae.files import write_atomic

IMAGES = 8192  #: the steps cycle through these, in whole batches
MAIN = Case("MeanField", 256, 1)  #: the case with every row
CASES = [MAIN, Case("MeanField", 100, 1), Case("MeanField", 2048, 1), Case("MeanField", 256, 50)]
CASES += [Case("IAF", 256, 1), Case("IAF", 256, 50)]
#: the rows of the other cases: the fastest of each peer, and all of our own that the targets need
CORE = [PYRO, "PyTorch, torch.compile, tuned", NUMPYRO, "eager", COMPILED, BINARISING, BF16_BINARISING, REPLAYED]
CORE += [REPLAYED_COMPILED, REPLAYED_BINARISING, "products alone, oneDNN"]


def case_of(words: str) -> Case:
    """``GUIDE/BATCH/PARTICLES`` as a case.

    Raises:
        ValueError: if it is not one.
    """
    guide, batch_size, particles = words.split("/")
    case = Case(guide, int(batch_size), int(particles))
    if guide not in ("MeanField", "IAF") or not 1 <= case.batch_size <= IMAGES or case.particles < 1:
        raise ValueError(words)
    return case


def work(name: str, case: Case, images: Path, threads: int, connection: Connection) -> None:
    """A row's process: make the row, then take the requested steps, again and again."""
    torch.set_num_threads(threads)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp(dir=images.parent)  # it finds no other row's code
    gray = torch.load(images)[: IMAGES // case.batch_size * case.batch_size]
    began = time.perf_counter()
    row = ROWS[name](case, gray)
    watch = memory.Watch(case.device)
    row.run(2 if case.device == "cpu" else 5)
    connection.send(time.perf_counter() - began)
    watch.begin()
    while steps := connection.recv():
        row.run(-(-steps // 5))
        spent, busy, loss = timed(row, steps)
        connection.send((spent / steps, busy / steps, loss, watch.mib(), getattr(row, "flops", None)))


def timed(row: Row, steps: int) -> tuple[float, float, float]:
    """The seconds of so many steps, of the clock and of the processor, and their loss; on CUDA by events of the
    device."""
    device = row.case.device
    events = [torch.cuda.Event(enable_timing=True) for _ in range(2)] if device == "cuda" else []
    began, busy = time.perf_counter(), time.process_time()
    if events:
        events[0].record()
    loss = row.run(steps)
    if events:
        events[1].record()
        events[1].synchronize()
    spent = events[0].elapsed_time(events[1]) / 1000 if events else time.perf_counter() - began
    return spent, time.process_time() - busy, loss


def measure(
    case: Case, names: list[str], images: Path, rounds: int, steps: int, threads: int, clock: str
) -> list[dict[str, Any]]:
    """A table row for each name, in order."""
    context = multiprocessing.get_context("spawn")
    workers: dict[str, tuple[Any, Connection]] = {}
    results: dict[str, dict[str, Any]] = {}
    at_once = len(names) if case.device == "cuda" else 1
    for first in range(0, len(names), at_once):
        starting = names[first : first + at_once]
        for name in starting:
            here, there = context.Pipe()
            process = context.Process(target=work, args=(name, case, images, threads, there), daemon=True)
            process.start()
            there.close()
            workers[name] = (process, here)
        for name in starting:
            try:
                ready = workers[name][1].recv()
                results[name] = {"row": name, "start_seconds": ready, "ms": [], "cpu_ms": [], "loss": []}
            except EOFError:  # the terminal has its traceback
                results[name] = {"row": name, "failed": True}
                del workers[name]
    for _ in range(rounds):
        for name, (_, connection) in workers.items():
            connection.send(steps)
            seconds, busy, loss, mib, flops = connection.recv()
            row = results[name]
            row["ms"].append(1000 * seconds)
            row["cpu_ms"].append(1000 * busy)
            row["loss"].append(loss)
            row.update(memory_mib=mib, **({"gflops": flops / 1e9} if flops else {}))
    for process, connection in workers.values():
        connection.send(0)
        process.join()
    for row in results.values():
        if "failed" not in row:
            low, middle, high = (
                statistics.quantiles(row[clock], n=4, method="inclusive") if rounds > 1 else row[clock] * 3
            )
            row.update(median_ms=middle, spread_ms=(high - low) / 2)
    judge(list(results.values()))
    return list(results.values())


def circumstances(threads: int, images: str) -> dict[str, Any]:
    """The machine, the packages and the settings behind the numbers."""
    versions: dict[str, str | None] = {}
    for package in ("pyro-ppl", "numpyro", "jax", "pythae"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return {
        "machine": machine(threads),
        "load": os.getloadavg(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "images": images,
        **versions,
    }


def section(report: dict[str, Any], command: str, clock: str) -> str:
    """The section for RESULTS.md."""
    where = report["circumstances"]
    packages = ", ".join(
        f"{name} {where[name] or 'not installed'}" for name in ("pyro-ppl", "numpyro", "jax", "pythae")
    )
    on_cuda = any(case["device"] == "cuda" for case in report["cases"])
    how = {"ms": "by the device's events" if on_cuda else "time of the clock", "cpu_ms": "time of the processor"}[clock]
    parts = [
        f"`{command}` on {where['machine']}; {packages}; {where['date'][:10]}. The machine's load was"
        f" {where['load'][0]:.1f} before the start.",
        f"Milliseconds a step ({how}), 784-400-50-400-784, softplus, Bernoulli, Adam, {where['images']}; median of"
        " rounds that the rows take in turn, ± half their interquartile range; a fifth as many steps come first in each"
        " turn and are not timed, for the others' turns have emptied the caches. *products*: the step's matrix products"
        " alone, at the better library's rate. *MiB*: the most memory that the steps had at once, beyond that before"
        " the first one. *tuned*: oneDNN's products, fused Adam and glibc's pages kept, as our own compiled steps have"
        " them. *ready in s*: imports, compilation by an Inductor whose cache is empty for each row, the first steps"
        f"{', all rows of a table at once' if on_cuda else ''}."
        " Plain Pyro does not validate its distributions, as in the tutorial. With 50 particles plain Pyro"
        " maximises the ELBO, our rows IWAE's bound.",
        targets(report["cases"]),
        *map(show, report["cases"]),
    ]
    if "growth" in report:
        from benchmarks import growth  # not above: each row's process imports only what it needs

        parts.append(growth.show(report["growth"], report["threads"]))
    return "\n\n".join(parts)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    said = " ".join(map(str, CASES))
    parser.add_argument("--cases", nargs="+", type=case_of, metavar="GUIDE/BATCH/PARTICLES", help=f"by default {said}")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), metavar="ROW", help="some of: " + "; ".join(ROWS))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=60, help="steps of a row in one round; fewer where they are long")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--clock",
        choices=["ms", "cpu_ms"],
        default="ms",
        help="time of the clock, or of the processor: of use with one thread where others use the machine, too",
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path, default=Path("speed.json"))
    parser.add_argument("--write", action="store_true", help="write the section into RESULTS.md also of chosen cases")
    options = parser.parse_args()

    gray, source = gray_images(IMAGES)
    report: dict[str, Any] = {"circumstances": circumstances(options.threads, source), "cases": []}
    report["threads"] = options.threads
    print(json.dumps(report["circumstances"], indent=1))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        images = Path(folder) / "images.pt"
        torch.save(gray.clone(), images)
        for chosen in options.cases or CASES:
            case = replace(chosen, device=options.device)
            wanted = options.rows or (list(ROWS) if chosen == MAIN else CORE)
            names = [name for name in wanted if ROWS[name].suits(case)]
            rows = case.batch_size * case.particles
            steps = max(3, options.steps * 256 // max(256, rows))
            rounds = options.rounds if rows <= 2048 else min(4, options.rounds)
            table = measure(case, names, images, rounds, steps, options.threads, options.clock)
            report["cases"].append({**asdict(case), "rounds": rounds, "steps_a_round": steps, "rows": table})
            print("\n" + show(report["cases"][-1]), flush=True)
            write_atomic(options.json, json.dumps(report, indent=1))
        if not options.cases and options.device == "cpu":
            from benchmarks import growth

            torch.set_num_threads(options.threads)
            report["growth"] = growth.measure(options.threads)
            write_atomic(options.json, json.dumps(report, indent=1))
    body = section(report, command("speed", parser, options), options.clock)
    print("\n" + targets(report["cases"]))
    if options.write or not options.cases:
        cuda = options.device.startswith("cuda")  # which has a section of its own
        write_section("speed-cuda" if cuda else "speed", f"What a step costs{' on CUDA' if cuda else ''}", body)


if __name__ == "__main__":
    main()
