"""Programs of Pyro's kinds: whether this project's SVI gives the losses of ``pyro.infer.SVI``, and how much faster.

    python -m benchmarks.programs                       all of them, and a section of RESULTS.md
    python -m benchmarks.programs NAME ... [--engine captured] [--steps 20] [--rounds 15]

All is done on one thread and one core. Losses are compared at each of the first steps from one
seed, parameters after the last. Then Pyro's SVI, Pyro's with ``Jit*_ELBO``, this project's, and NumPyro's jitted
``update`` take turns, ten steps each, round after round; a time is the median over the rounds of the median processor
time of a step, and a ratio the median of the ratios of a round. Pyro validates its distributions, as it does by
default. NumPyro draws other random numbers: a pair starts from the same parameters, and the mean losses of the second
halves of some runs must agree within their errors.
"""

import argparse
import datetime
import gc
import json
import os
import statistics
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from benchmarks import program_aside, program_aside_networks, program_classics, program_large, program_networks
from benchmarks.program_arms import Arm, compare, jitted, start_of
from benchmarks.program_case import PROGRAMS
from benchmarks.program_tables import show, versions
from benchmarks.results import command, machine, write_section

SUITE = program_classics, program_large, program_networks, program_aside, program_aside_networks

RUNS, RUN_STEPS = 4, 200  #: of each side of a pair


def pairs() -> dict[str, Any]:
    """The programs that are written in NumPyro, too; none where it is not installed."""
    if find_spec("numpyro") is None:
        return {}
    from benchmarks import numpyro_arm, numpyro_classics, numpyro_networks

    assert numpyro_classics
    assert numpyro_networks
    return numpyro_arm.PAIRS


def measure(name: str, engine: str, steps: int, rounds: int) -> dict[str, Any]:
    """All that is measured of a program."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        found, pyros, ours = compare(PROGRAMS[name], engine, steps, amplify=True)
    record: dict[str, Any] = {"name": name, "engine": engine, "steps": steps, "rounds": rounds, **found._asdict()}
    record |= {"where": f"{machine(1)}, {versions()}", "date": f"{datetime.date.today()}"}
    record["uncompiled"] = next((m for w in warned if "Inductor did not" in (m := str(w.message))), "")
    warnings.simplefilter("ignore")
    if found.refusal:
        return record
    arms: dict[str, Any] = {"pyro": pyros, "ours": ours}
    try:
        arms["jit"] = Arm(PROGRAMS[name], jitted)
        for _ in range(3):
            arms["jit"].step()
    except Exception as error:  # whatever tracing meets
        record["no_jit"] = f"{type(error).__name__}: {str(error).strip()[:100]}".splitlines()[0]
        arms.pop("jit", None)
    if name in pairs():
        arms["numpyro"], record["pair"] = beside_numpyro(name, ours)
    gc.unfreeze()
    gc.collect()
    gc.freeze()  # what was built before is not walked through in the steps
    record["ms"] = {arm: [] for arm in arms}
    for _ in range(rounds):
        for arm, svi in arms.items():
            record["ms"][arm].append(statistics.median(svi.steps(10)) * 1e3)
    return record


def beside_numpyro(name: str, ours: Arm) -> tuple[Any, dict[str, list[float]]]:
    """NumPyro's arm, and the mean losses of the second halves of runs from the same start."""
    from benchmarks.numpyro_arm import NumPyroArm

    start = start_of(PROGRAMS[name])
    theirs = NumPyroArm(name, {key: value.numpy() for key, value in start.items()})
    means: dict[str, list[float]] = {"ours": [], "numpyro": []}
    for seed in range(RUNS):
        ours.restart(start, seed)
        theirs.restart(seed)
        for arm, svi in (("ours", ours), ("numpyro", theirs)):
            losses = [svi.step() for _ in range(RUN_STEPS)]
            means[arm].append(statistics.fmean(losses[RUN_STEPS // 2 :]))
    return theirs, means


def read(path: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The records of this engine and of as many steps and rounds, in a file that need not exist."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    asked = (options.engine, options.steps, options.rounds)
    return [r for r in map(json.loads, lines) if (r["engine"], r.get("steps"), r.get("rounds")) == asked]


def on_one_core() -> None:
    """Keep this process and its threads on one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="programs; all of them by default")
    parser.add_argument("--engine", default="compiled", choices=["captured", "compiled"])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--records", type=Path, help="a file of lines; a program that it has as asked is not run again")
    parser.add_argument("--write", action="store_true", help="write the section of RESULTS.md for some programs, too")
    options = parser.parse_args()
    known = read(options.records, options) if options.records else []
    torch.set_num_threads(1)
    on_one_core()
    wanted = options.names or sorted(PROGRAMS)
    if unknown := set(wanted) - PROGRAMS.keys():
        parser.error(f"no program {', '.join(sorted(unknown))}; there are {', '.join(sorted(PROGRAMS))}")
    for name in wanted:
        if any(record["name"] == name for record in known):
            continue
        record = measure(name, options.engine, options.steps, options.rounds)
        known.append(record)
        print(json.dumps(record), flush=True)
        if options.records:
            with options.records.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
    asked = command("programs", parser, options, "names")
    body = show([record for record in known if record["name"] in wanted], asked)
    print(body)
    if not options.names or options.write:
        write_section("programs", "Pyro's SVI, compiled: programs of many kinds", body)


if __name__ == "__main__":
    main()
