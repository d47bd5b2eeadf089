"""The whole job, from the command to the answer: this project beside its peers.

    python -m benchmarks.end_to_end --data-root DIR                              everything, an hour on a quiet machine
    python -m benchmarks.end_to_end --data-root DIR --epochs 8 --arms ours/NumPyro --rounds 1
    python -m benchmarks.end_to_end --write                                      the section, from the records alone

Each job is a process of its own (:mod:`benchmarks.job`). The arms take turns, round after round, and each record is
written at once, so that the command can be stopped and goes on where it was. All have the threads that they take by
themselves. Before the first round, our own code and NumPyro's are compiled, as on any machine that has run them before;
the records of these jobs are those of round 0. Records of other options than an arm has now are left alone.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.end_to_end_tables import section
from benchmarks.job import BEGAN, PROCESSOR
from benchmarks.job_arms import ARMS, KEPT, LENGTHS
from benchmarks.job_arms import options as options_of
from benchmarks.results import machine, write_section

RECORDS = Path("runs/end_to_end.jsonl")
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


def read(path: Path, one_thread: bool = False) -> list[dict[str, Any]]:
    """The records that hold for the arms as they are now, with so many threads.

    With one thread their seconds are those of the processor.
    """
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    found = [r for r in found if r["arm"] in ARMS and r.get("options") == options_of(r["arm"])]
    found = [r for r in found if r.get("one_thread", False) == one_thread]
    return [{**r, "seconds": r["processor"]} for r in found] if one_thread else found


def planned(arms: list[str], lengths: list[int], rounds: int) -> list[tuple[int, int, str]]:
    """The jobs in their order: round, epochs, arm.

    In round 0 jobs fill the caches of compiled code: of the shortest length, for which our job may compile nothing, and
    of the next one.
    """
    jobs = [(0, epochs, arm) for arm in arms if arm in KEPT for epochs in sorted(set(lengths))[:2]]
    return jobs + [(n, epochs, arm) for n in range(1, 1 + rounds) for epochs in lengths for arm in arms]


def is_done(job: tuple[int, int, str], records: list[dict[str, Any]]) -> bool:
    """Whether a job has its record; in round 0 that of a shorter one will do, if it is not of the shortest length."""
    number, epochs, arm = job
    done = {r["epochs"] for r in records if (r["round"], r["arm"]) == (number, arm)}
    return epochs in done or (number == 0 and any(LENGTHS[0] < n < epochs for n in done))


def measure(options: argparse.Namespace) -> None:
    """Run what is missing, arm by arm, round after round."""
    options.records.parent.mkdir(parents=True, exist_ok=True)
    for job in planned(options.arms, options.epochs, options.rounds):
        if is_done(job, read(options.records, options.one_thread)):
            continue
        number, epochs, arm = job
        record = {
            "round": number,
            **run(arm, epochs, options.data_root, options.one_thread),
            "options": options_of(arm),
            "one_thread": options.one_thread,
            "machine": machine(1 if options.one_thread else None),
            "date": time.strftime("%Y-%m-%d"),
            "command": command(options),
        }
        with options.records.open("a") as file:
            file.write(json.dumps(record) + "\n")
        clock = "processor" if options.one_thread else "seconds"
        print(f"round {number}, {epochs} epochs, {arm}: {record[clock]:.1f} s", flush=True)


def command(options: argparse.Namespace) -> str:
    """The command that was given, with DIR for the folder of the data."""
    words = ["python", "-m", "benchmarks.end_to_end", "--data-root", "DIR", "--arms", "/".join(options.arms)]
    words += ["--epochs", ",".join(map(str, options.epochs)), "--rounds", str(options.rounds)]
    return shlex.join([*words, *(["--one-thread"] if options.one_thread else [])])


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
    if unknown := set(options.arms) - ARMS.keys():
        parser.error(f"no arm {'; '.join(sorted(unknown))}: there are {'/'.join(ARMS)}")
    if not options.write:
        if options.data_root is None:
            parser.error("--data-root is needed to run jobs")
        measure(options)
    records = read(options.records, options.one_thread)
    if not any(record["round"] for record in records):
        parser.error(f"{options.records} has no record of the arms as they are now: run without --write")
    write_section("end_to_end", "The whole job, from the command to the answer", section(records))


if __name__ == "__main__":
    main()
