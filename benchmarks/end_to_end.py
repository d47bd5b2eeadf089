"""The whole job, from the command to the answer: this project beside its peers.

    python -m benchmarks.end_to_end --data-root DIR                              everything, an hour on a quiet machine
    python -m benchmarks.end_to_end --data-root DIR --epochs 8 --arms ours/NumPyro --rounds 1
    python -m benchmarks.end_to_end --write                                      the section, from the records alone

Each job is a process of its own (:mod:`benchmarks.job`). The arms take turns, round after round, and each record is
written at once, so that the command can be stopped and goes on where it was. All have the threads that they take by
themselves. Before the first round, our own code and NumPyro's are compiled once, as on any machine that has run them
before; the records of these jobs are marked as first ones.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.job import BEGAN, PROCESSOR
from benchmarks.results import machine, table, write_section

ARMS: dict[str, list[str]] = {
    "ours": ["benchmarks.job_ours"],
    "ours, bf16": ["benchmarks.job_ours", "--precision=bf16"],
    "ours, fast": ["benchmarks.job_ours", "--preset=fast"],
    "ours, fast, bf16": ["benchmarks.job_ours", "--preset=fast", "--precision=bf16"],
    "ours, cosine": ["benchmarks.job_ours", "--lr=2e-3", "--lr-schedule=cosine"],  # README's, the best one before fast
    "Pyro": ["benchmarks.job_torch", "Pyro"],
    "PyTorch": ["benchmarks.job_torch", "PyTorch"],
    "NumPyro": ["benchmarks.job_numpyro"],
    "pythae": ["benchmarks.job_torch", "pythae"],
}
LENGTHS = (1, 8, 30)
RECORDS = Path("runs/end_to_end.jsonl")
ENOUGH = 3  #: rounds that decide on a target
GOALS = (-100.0, -97.0)  #: test ELBOs, nats per image
#: the length of the job, our arm, the peer, and the ratio of seconds that is wanted
TARGETS = [
    (8, "ours", "Pyro", 0.45),
    (8, "ours", "NumPyro", 0.9),
    (30, "ours", "Pyro", 0.40),
    (30, "ours", "NumPyro", 0.95),
    (30, "ours, bf16", "NumPyro", 0.75),
    (1, "ours", "Pyro", 1.0),
    (1, "ours", "PyTorch", 1.0),
    (1, "ours", "NumPyro", 1.0),
]


#: the environment of a job that may use one thread
ONE_THREAD = {
    PROCESSOR: "1",
    "OMP_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


def run(arm: str, epochs: int, data_root: Path, one_thread: bool) -> dict[str, Any]:
    """One job in a process of its own, and what it told."""
    module, *words = ARMS[arm]
    own, more = [w for w in words if w[0] != "-"], [w for w in words if w[0] == "-"]
    command = [sys.executable, "-m", module, *own, "--epochs", str(epochs), *(["--", *more] if more else [])]
    load, began = psutil.getloadavg()[0], time.time()
    environment = {**os.environ, "PYRO_VAE_DATA": str(data_root), BEGAN: repr(began)}
    environment |= ONE_THREAD if one_thread else {}
    before = os.times()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds, after = time.time() - began, os.times()
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    told = json.loads(done.stdout.strip().splitlines()[-1])
    processor = after.children_user - before.children_user + after.children_system - before.children_system
    return {"arm": arm, "epochs": epochs, "seconds": seconds, "processor": processor, "load": load, **told}


def read(path: Path) -> list[dict[str, Any]]:
    """The records so far; their seconds are those of the processor where the jobs had one thread."""
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [{**r, "seconds": r["processor"]} if r.get("one_thread") else r for r in found]


def measure(options: argparse.Namespace) -> None:
    """Run what is missing, arm by arm, round after round."""
    options.records.parent.mkdir(parents=True, exist_ok=True)
    plan = [(0, min(options.epochs), arm) for arm in options.arms if "ours" in arm]
    plan += [(r, n, arm) for r in range(1, 1 + options.rounds) for n in options.epochs for arm in options.arms]
    for number, epochs, arm in plan:
        known = {(r["round"], r["epochs"] if r["round"] else 0, r["arm"]) for r in read(options.records)}
        if (number, epochs if number else 0, arm) in known:
            continue
        record = {"round": number, **run(arm, epochs, options.data_root, options.one_thread), "machine": machine()}
        record |= {"machine": machine(1), "one_thread": True} if options.one_thread else {}
        with options.records.open("a") as file:
            file.write(json.dumps(record) + "\n")
        print(f"round {number}, {epochs} epochs, {arm}: {record['seconds']:.1f} s", flush=True)


def spread(values: list[float], digits: int = 1) -> str:
    """The median, and where there are several the smallest and the largest."""
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) < 2 else f"{middle} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def ratios(records: list[dict[str, Any]], epochs: int, arm: str, peer: str) -> list[float]:
    """Seconds of an arm over those of a peer, for each round that has both."""
    of = {(r["arm"], r["round"]): r["seconds"] for r in records if r["epochs"] == epochs and r["round"]}
    return [of[arm, n] / of[peer, n] for who, n in of if who == arm and (peer, n) in of]


def seconds_table(records: list[dict[str, Any]]) -> str:
    """Seconds of the whole process for each arm and length."""
    rows = []
    for arm in ARMS:
        cells = []
        for epochs in LENGTHS:
            found = [r for r in records if r["arm"] == arm and r["epochs"] == epochs and r["round"]]
            cells.append(spread([r["seconds"] for r in found]) if found else "")
        last = [r for r in records if r["arm"] == arm and r["round"]]
        if not last:
            continue
        longest = max(r["epochs"] for r in last)
        elbo = statistics.median(r["test_elbo"] for r in last if r["epochs"] == longest)
        rows.append([arm, *cells, f"{elbo:.2f} ({longest})"])
    return table(["job", *(f"{lasting(n)}, s" for n in LENGTHS), "test ELBO (epochs)"], rows)


def lasting(epochs: int) -> str:
    """A number of epochs in words.

    >>> lasting(1), lasting(8)
    ('1 epoch', '8 epochs')
    """
    return f"{epochs} epoch" if epochs == 1 else f"{epochs} epochs"


def targets_table(records: list[dict[str, Any]]) -> str:
    """Each target with the ratio that was found; it is met if the largest ratio of :data:`ENOUGH` rounds is within."""
    rows = []
    for epochs, arm, peer, most in TARGETS:
        found = ratios(records, epochs, arm, peer)
        if found:
            verdict = "met" if max(found) <= most else "not met"
            verdict = verdict if len(found) >= ENOUGH else f"{verdict} in {len(found)}: too few to decide"
            rows.append(
                [f"{lasting(epochs)}: {arm} / {peer}", f"{most:.2f}", spread(found, 2), f"{len(found)}", verdict]
            )
    return table(["target", "at most", "found", "rounds", "verdict"], rows)


def parts_table(records: list[dict[str, Any]]) -> str:
    """Where the seconds go."""
    rows = []
    names = ["start", "data", "compile", "steps", "evaluation", "pictures", "writing"]
    for arm in ARMS:
        for epochs in LENGTHS:
            found = [r for r in records if r["arm"] == arm and r["epochs"] == epochs and r["round"]]
            if not found:
                continue
            cells, rest = [], [r["seconds"] for r in found]
            for name in names:
                each = [sum(v for key, v in r["parts"].items() if key.startswith(name)) for r in found]
                rest = [a - b for a, b in zip(rest, each, strict=True)]
                cells.append(f"{statistics.median(each):.1f}" if any(each) else "")
            rows.append([f"{arm}, {epochs}", *cells, f"{statistics.median(rest):.1f}"])
    return table(["job, epochs", *names, "rest"], rows)


def soonest(records: list[dict[str, Any]], arm: str, goal: float) -> tuple[float, int] | None:
    """The fewest seconds, medians over rounds, in which an arm has reached a goal, and in a job of how many epochs."""
    found = []
    for epochs in {r["epochs"] for r in records if r["arm"] == arm and r["round"]}:
        jobs = [r for r in records if (r["arm"], r["epochs"]) == (arm, epochs) and r["round"]]
        times = [next((s for s, elbo in r["elbos"] if elbo >= goal), math.inf) for r in jobs]
        found.append((statistics.median(times), epochs))
    return min((one for one in found if one[0] < math.inf), default=None)


def goals_in_words(records: list[dict[str, Any]]) -> str:
    """How soon the preset reaches each goal, beside the best schedule before it: at most half its seconds are asked."""
    said = []
    for goal in GOALS:
        fast, before = (soonest(records, arm, goal) for arm in ("ours, fast", "ours, cosine"))
        if fast and before:
            ratio = fast[0] / before[0]
            said.append(
                f"- To {goal:g}: `--preset fast` with {fast[1]} epochs takes {fast[0]:.0f} s, README's schedule (2e-3,"
                f" cosine) with {before[1]} epochs {before[0]:.0f} s: {ratio:.2f} times as long (at most 0.50 was aimed"
                f" at: {'met' if ratio <= 0.5 else 'not met'})."
            )
    return "\n".join(said)


def goals_table(records: list[dict[str, Any]]) -> str:
    """Seconds from the command to the first epoch whose test ELBO reaches a goal."""
    rows = []
    for arm in ARMS:
        for epochs in sorted({r["epochs"] for r in records if r["arm"] == arm and r["round"]} - {1}):
            found = [r for r in records if r["arm"] == arm and r["epochs"] == epochs and r["round"]]
            cells = []
            for goal in GOALS:
                reached = [next((s for s, elbo in r["elbos"] if elbo >= goal), None) for r in found]
                times = [s for s in reached if s is not None]
                cells.append(spread(times) if len(times) == len(reached) else "not reached")
            best = statistics.median(max(elbo for _, elbo in r["elbos"]) for r in found)
            rows.append([f"{arm}, {epochs}", *cells, f"{best:.2f}"])
    return table(["job, epochs", *(f"to {goal:g}, s" for goal in GOALS), "best test ELBO"], rows) if rows else ""


def section(records: list[dict[str, Any]]) -> str:
    """The section of RESULTS.md."""
    first = [f"{r['arm']} {r['seconds']:.1f} s ({lasting(r['epochs'])})" for r in records if not r["round"]]
    loads = [r["load"] for r in records if r["round"]]
    where = f"{records[-1]['machine']}; {time.strftime('%Y-%m-%d')}"
    kind = (
        "processor seconds of whole processes with one thread each"
        if records[-1].get("one_thread")
        else "whole processes"
    )
    noise = f"{statistics.median(loads):.1f} (median; at most {max(loads):.1f})"
    more = " --one-thread" if records[-1].get("one_thread") else ""
    cold = f"; a job before the first round took: {', '.join(first)}." if first else "."
    return "\n\n".join(
        [
            f"`python -m benchmarks.end_to_end{more} --data-root DIR` on {where}."
            f" The machine's load before a job: {noise}.",
            "AEVB's network on MNIST (784-500-20-500-784, tanh, Adam at 1e-3, batches of 100, binarised afresh), the"
            f" test ELBO after each epoch with one sample, and with 100 samples at the end; {kind}, in turn;"
            " medians over rounds (smallest to largest). Peers hold the images in memory and write nothing; our job is"
            " the command, with its validation ELBO, checkpoints, pictures and events. Compiled code is in the cache"
            + cold,
            targets_table(records),
            seconds_table(records),
            "Where the seconds go (medians; a part's seconds are without those of a part within it):",
            parts_table(records),
            goals_table(records),
            goals_in_words(records),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, help="the folder with MNIST/raw")
    parser.add_argument("--epochs", type=lambda text: [int(n) for n in text.split(",")], default=list(LENGTHS))
    parser.add_argument("--arms", type=lambda text: text.split("/"), default=[a for a in ARMS if "," not in a])
    parser.add_argument("--one-thread", action="store_true", help="one thread for each job, and processor seconds")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("--write", action="store_true", help="write the section from the records, and run nothing")
    options = parser.parse_args()
    if not options.write:
        if options.data_root is None:
            parser.error("--data-root is needed to run jobs")
        measure(options)
    write_section("end_to_end", "The whole job, from the command to the answer", section(read(options.records)))


if __name__ == "__main__":
    main()
