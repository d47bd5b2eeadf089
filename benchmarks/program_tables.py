"""The tables of :mod:`benchmarks.programs`, from what was measured."""

import statistics
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmarks.program_case import ASIDE, PROGRAMS
from benchmarks.results import table

Record = dict[str, Any]
LONG = 1.0  #: milliseconds; from here on a step of NumPyro's is arithmetic more than dispatch
FAR = 1e-5  #: relative; losses that differ by less are equal but for rounding
BOUND = 4.0  #: standard errors; a pair that is further apart is not the same program


def ratios(record: Record, of: str, to: str) -> list[float]:
    """The ratios of two arms' times, round by round."""
    return [a / b for a, b in zip(record["ms"][of], record["ms"][to], strict=True)]


def spread(values: list[float]) -> float:
    """Half of the interquartile range."""
    low, _, high = statistics.quantiles(values, n=4) if len(values) > 1 else (0.0, 0.0, 0.0)
    return (high - low) / 2


def about(values: list[float], digits: int = 1) -> str:
    """Median ± half of the interquartile range."""
    return f"{statistics.median(values):.{digits}f} ± {spread(values):.{digits}f}"


def apart(record: Record) -> tuple[float, float]:
    """The difference of a pair's mean losses, and its standard error; float32's rounding is part of it."""
    ours, theirs = record["pair"]["ours"], record["pair"]["numpyro"]
    squares = [statistics.variance(means) / len(means) for means in (ours, theirs)]
    rounding = 1e-4 * abs(statistics.fmean(theirs))  # of sums that nearly cancel, as a Gaussian process's
    return statistics.fmean(ours) - statistics.fmean(theirs), (sum(squares) + rounding**2) ** 0.5


def show(records: list[Record], command: str) -> str:
    """The section of RESULTS.md, of records of one engine and of as many steps and rounds, made by this command."""
    where, dates = (" and ".join(dict.fromkeys(r[key] for r in records)) for key in ("where", "date"))
    steps, rounds, engine = (records[0][key] for key in ("steps", "rounds", "engine"))
    captured = [r for r in records if not r["refusal"]]
    rows = []
    for r in sorted(records, key=lambda r: r["name"]):
        if r["refusal"]:
            rows.append([r["name"], f"refused: {r['refusal'][:100]}", *[""] * 8])
            continue
        cells = [about(r["ms"][arm], 2) if arm in r["ms"] else "" for arm in ("pyro", "jit", "numpyro", "ours")]
        fast = about(ratios(r, "pyro", "ours"))
        beside = about(ratios(r, "ours", "numpyro"), 2) if "numpyro" in r["ms"] else ""
        equal = [f"{r[key]:.0e}" for key in ("loss", "parameters", "amplified")]
        rows.append([r["name"], *equal, *cells, fast, beside])
    columns = ["program", "losses", "parameters", "Pyro, nudged", "Pyro, ms", "Jit, ms", "NumPyro, ms", "this SVI, ms"]
    columns += ["Pyro / this", "this / NumPyro"]
    together = [r for r in captured if "pair" in r]
    parts = [
        f"`{command}`, {where}, {dates}; {len(records)} of the"
        f" suite's {len(PROGRAMS)} programs, engine {engine}. Of each, the losses"
        f" of the first {steps} steps and the parameters after them: the largest relative difference to"
        " `pyro.infer.SVI` from the same seed; beside it that of Pyro's"
        " own losses with parameters off by 1e-7 after the first step (nudged):"
        " what the program makes of rounding. Then processor milliseconds a step, median ± half of the interquartile"
        f" range over {rounds} rounds of 10 steps in turn, and the ratios of a round. Pyro validates its distributions,"
        " as it does by default.",
        table(columns, rows),
        verdict(records, captured, together),
    ]
    if together:
        pairs = [[r["name"], *map(_mean, (r["pair"]["ours"], r["pair"]["numpyro"])), _off(r)] for r in together]
        runs = len(together[0]["pair"]["ours"])
        parts += [
            f"Mean losses of the second halves of {runs} runs of each side from the same parameters, ± standard error;"
            " the last column is their difference in standard errors:",
            table(["program", "this SVI", "NumPyro", "apart"], pairs),
        ]
    return "\n\n".join(parts)


def _mean(means: list[float]) -> str:
    return f"{statistics.fmean(means):.6g} ± {statistics.stdev(means) / len(means) ** 0.5:.2g}"


def _off(record: Record) -> str:
    difference, error = apart(record)
    return f"{difference / error:+.1f}"


def versions() -> str:
    """The peers' versions."""
    found = []
    for name in ("pyro-ppl", "numpyro", "jax"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)


def verdict(records: list[Record], captured: list[Record], together: list[Record]) -> str:
    """What follows from the table, in sentences."""
    fast = [statistics.median(ratios(r, "pyro", "ours")) for r in captured]
    lines = [f"{len(captured)} of {len(records)} are captured."]
    if kept := [r for r in records if r["name"] in ASIDE]:
        lines.append(f"Of {len(kept)} that were kept aside, {sum(not r['refusal'] for r in kept)} are.")
    if fast:
        lines.append(
            f"The median program is {statistics.median(fast):.1f} times as fast as under `pyro.infer.SVI` (the least"
            f" {min(fast):.1f}, the most {max(fast):.1f})."
        )
    far = [
        f"{r['name']} ({r['loss']:.0e}; Pyro's own, nudged, {r['amplified']:.0e})" for r in captured if r["loss"] > FAR
    ]
    said = f"Losses differ by more than {FAR:g} in {', '.join(far)}." if far else f"No loss differs by {FAR:g} or more."
    lines.append(said)
    if odd := [r["name"] for r in captured if r["uncompiled"]]:
        lines.append(f"Inductor did not compile {', '.join(odd)}.")
    jit = [statistics.median(ratios(r, "jit", "ours")) for r in captured if "jit" in r["ms"]]
    if jit:
        lines.append(f"`Jit*_ELBO` runs {len(jit)} of them; this SVI is {statistics.median(jit):.1f} times as fast.")
    sides = {True: "1 ms or more", False: "less than 1 ms"}
    for long, words in sides.items():
        those = [r for r in together if (statistics.median(r["ms"]["numpyro"]) >= LONG) is long]
        if those:
            beside = [statistics.median(ratios(r, "ours", "numpyro")) for r in those]
            lines.append(
                f"Where NumPyro's step takes {words} ({len(those)} programs), this SVI's takes"
                f" {statistics.median(beside):.2f} times as long (median; {min(beside):.2f} to {max(beside):.2f})."
            )
    odd = [r["name"] for r in together if abs(apart(r)[0]) > BOUND * apart(r)[1]]
    if odd:
        lines.append(f"The losses of {', '.join(odd)} are further than {BOUND:g} standard errors from NumPyro's.")
    elif together:
        lines.append(f"All {len(together)} pairs agree in their mean losses within {BOUND:g} standard errors.")
    return " ".join(lines)
