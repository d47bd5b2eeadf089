"""The section of :mod:`benchmarks.end_to_end`: tables, verdicts and words, from the records."""

import math
import statistics
from typing import Any

from benchmarks.job_arms import ARMS, COSINE, FAST, KEPT, preset
from benchmarks.results import table

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


def spread(values: list[float], digits: int = 1) -> str:
    """The median, and where there are several the smallest and the largest."""
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) < 2 else f"{middle} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def ratios(records: list[dict[str, Any]], epochs: int, arm: str, peer: str) -> list[float]:
    """Seconds of an arm over those of a peer, for each round that has both."""
    of = {(r["arm"], r["round"]): r["seconds"] for r in records if r["epochs"] == epochs and r["round"]}
    return [of[arm, n] / of[peer, n] for who, n in of if who == arm and (peer, n) in of]


def lengths_of(records: list[dict[str, Any]], *arms: str) -> list[int]:
    """The numbers of epochs that were counted; with arms, those that all of them have."""
    found = [{r["epochs"] for r in records if r["round"] and r["arm"] == arm} for arm in arms]
    return sorted(set.intersection(*found) if found else {r["epochs"] for r in records if r["round"]})


def verdict(found: list[float], most: float) -> str:
    """Whether all these ratios are within a target, and whether they are :data:`ENOUGH` to say so.

    >>> verdict([0.4, 0.6, 0.5], 0.5), verdict([0.4], 0.5)
    ('not met', 'met in 1: too few to decide')
    """
    said = "met" if max(found) <= most else "not met"
    return said if len(found) >= ENOUGH else f"{said} in {len(found)}: too few to decide"


def seconds_table(records: list[dict[str, Any]]) -> str:
    """Seconds of the whole process for each arm and length."""
    rows, lengths = [], lengths_of(records)
    for arm in ARMS:
        cells = []
        for epochs in lengths:
            found = [r for r in records if r["arm"] == arm and r["epochs"] == epochs and r["round"]]
            cells.append(spread([r["seconds"] for r in found]) if found else "")
        last = [r for r in records if r["arm"] == arm and r["round"]]
        if not last:
            continue
        longest = max(r["epochs"] for r in last)
        elbo = statistics.median(r["test_elbo"] for r in last if r["epochs"] == longest)
        rows.append([arm, *cells, f"{elbo:.2f} ({longest})"])
    return table(["job", *(f"{lasting(n)}, s" for n in lengths), "test ELBO (epochs)"], rows)


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
            cells = [f"{most:.2f}", spread(found, 2), f"{len(found)}", verdict(found, most)]
            rows.append([f"{lasting(epochs)}: {arm} / {peer}", *cells])
    return table(["target", "at most", "found", "rounds", "verdict"], rows) if rows else ""


def parts_table(records: list[dict[str, Any]]) -> str:
    """Where the seconds go."""
    rows = []
    names = ["start", "data", "compile", "steps", "evaluation", "pictures", "writing"]
    for arm in ARMS:
        for epochs in lengths_of(records, arm):
            found = [r for r in records if r["arm"] == arm and r["epochs"] == epochs and r["round"]]
            cells, rest = [], [r["seconds"] for r in found]
            for name in names:
                each = [sum(v for key, v in r["parts"].items() if key.startswith(name)) for r in found]
                rest = [a - b for a, b in zip(rest, each, strict=True)]
                cells.append(f"{statistics.median(each):.1f}" if any(each) else "")
            rows.append([f"{arm}, {epochs}", *cells, f"{statistics.median(rest):.1f}"])
    return table(["job, epochs", *names, "rest"], rows)


def to_goal(records: list[dict[str, Any]], arm: str, epochs: int, goal: float) -> dict[int, float]:
    """The seconds from the command to the first epoch with this test ELBO, by the round; infinite where none has it."""
    jobs = [r for r in records if (r["arm"], r["epochs"]) == (arm, epochs) and r["round"]]
    return {r["round"]: next((s for s, elbo in r["elbos"] if elbo >= goal), math.inf) for r in jobs}


def goals_in_words(records: list[dict[str, Any]]) -> str:
    """How soon the preset reaches each goal, beside the schedule before it: at most half its seconds are asked.

    Each has the length, of those that both have, in which it is the soonest.
    """
    said = []
    for goal in GOALS:
        best = []
        for arm in (FAST, COSINE):
            tried = [(to_goal(records, arm, n, goal), n) for n in lengths_of(records, FAST, COSINE)]
            reached = [(found, n) for found, n in tried if math.inf not in found.values()]
            best += sorted(reached, key=lambda one: statistics.median(one[0].values()))[:1]
        if len(best) < 2:
            continue
        (fast, fast_epochs), (before, before_epochs) = best
        found = [fast[n] / before[n] for n in fast.keys() & before.keys()]
        if found:
            said.append(
                f"- To a test ELBO of {goal:g}: `--preset fast` with {fast_epochs} epochs takes"
                f" {spread(list(fast.values()))} s, lr 2e-3 and cosine with {before_epochs} epochs"
                f" {spread(list(before.values()))} s: {spread(found, 2)} times as long (at most 0.50 was aimed at, in"
                f" every round: {verdict(found, 0.5)})."
            )
    return "\n".join(said)


def goals_table(records: list[dict[str, Any]]) -> str:
    """Seconds from the command to the first epoch whose test ELBO reaches a goal."""
    rows = []
    for arm in ARMS:
        for epochs in lengths_of(records, arm):
            if epochs == 1:
                continue
            found = [r for r in records if r["arm"] == arm and r["epochs"] == epochs and r["round"]]
            cells = []
            for goal in GOALS:
                times = list(to_goal(records, arm, epochs, goal).values())
                cells.append("not reached" if math.inf in times else spread(times))
            best = statistics.median(max(elbo for _, elbo in r["elbos"]) for r in found)
            rows.append([f"{arm}, {epochs}", *cells, f"{best:.2f}"])
    return table(["job, epochs", *(f"to {goal:g}, s" for goal in GOALS), "best test ELBO"], rows) if rows else ""


def section(records: list[dict[str, Any]]) -> str:
    """The section of RESULTS.md, of records of one number of threads."""
    counted = [r for r in records if r["round"]]
    loads = [r["load"] for r in counted]
    commands, machines, dates = (dict.fromkeys(r[key] for r in counted) for key in ("command", "machine", "date"))
    parts = [
        f"{', then '.join(f'`{one}`' for one in commands)} on {' and '.join(machines)}; {' and '.join(dates)}. The"
        f" machine's load before a job: {statistics.median(loads):.1f} (median; at most {max(loads):.1f}).",
        in_words(records),
        targets_table(records),
        seconds_table(records),
        "Where the seconds go (medians; a part's seconds are without those of a part within it):",
        parts_table(records),
        goals_table(records),
        goals_in_words(records),
    ]
    return "\n\n".join(part for part in parts if part)


def in_words(records: list[dict[str, Any]]) -> str:
    """What the jobs are, and what the tables do not show."""
    arms = dict.fromkeys(r["arm"] for r in records if r["round"])
    presets = [f"{key} {value}" for key, value in preset(FAST).items()] if FAST in arms else []
    took = " and ".join(sorted({r["precision"] for r in records if r["arm"] == FAST and r["round"]}))
    fast = f" (*fast*: {', '.join(presets)}, which took {took})" if presets else ""
    trainer = " (pythae's trainer writes its model)" if "pythae" in arms else ""
    one = records[-1]["one_thread"]
    kind = "processor seconds of whole processes with one thread each" if one else "seconds of whole processes"
    first = [f"{r['arm']} {r['seconds']:.1f} s ({lasting(r['epochs'])})" for r in records if not r["round"]]
    kept = [arm for arm in arms if arm in KEPT]
    cached = f" Compiled code of {' and '.join(kept)} is in a cache on the disk" if kept else ""
    cached += f"; jobs before the first round, which fill it, took: {', '.join(first)}." if kept and first else "."
    return (
        "AEVB's network on MNIST (784-500-20-500-784, tanh, binarised afresh), Adam at 1e-3 in batches of 100 unless"
        f" the job's name says otherwise{fast}. The test ELBO is that after each epoch with one sample, and at the end"
        " with 100 samples: of the last weights, for ours of those with the best validation ELBO. Each job has seed 0"
        " in all rounds: rounds repeat the seconds alone, and a difference of two ELBOs is that of one seed."
        f" {kind.capitalize()}, in turn; medians over rounds (smallest to largest). Peers hold the images in memory and"
        f" write nothing{trainer}; our job is the command, with its validation ELBO, checkpoints, pictures and events."
        + (cached if kept else "")
    )
