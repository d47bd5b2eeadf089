"""What the statistics of ``compare`` claim of simulated grids: coverage, family-wise error and power.

python -m benchmarks.comparisons [--times 500] [--arms 4 13] [--out runs/comparisons]

A row that is there is not made again.
"""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.best_power import most_power
from benchmarks.results import machine, table, write_section
from pyro_vae.compare.pooling import Claim, pool, spreads
from pyro_vae.compare.statistics import Interval, Shared, difference
from pyro_vae.files import read_text, write_atomic

SEEDS, SEED_SPREAD, GAIN = 3, 0.2, 1.0  #: of the table: see :class:`World`


class World(NamedTuple):
    """A simulated grid whose arm 0 is the baseline.

    Attributes:
        seed_spread: the standard deviation of a run's mean, nats.
        image_noise: that of an arm's own effect on an image, nats.
        gain: of the last arm in power's half of the simulation.
        wild: how many times the spread of the others that of one arm is.
        which: that arm: 0 is the baseline, 1 another one.
    """

    arms: int
    seeds: int
    seed_spread: float
    image_noise: float
    images: int
    gain: float
    wild: float = 1.0
    which: int = 1


class Claims(NamedTuple):
    """Shares of grids.

    Attributes:
        covered: all intervals cover.
        false_alarms: some null difference is shown.
        power: the gain is shown.
        power_alone: it is by the interval of its pair alone.
        power_alike, alarms_alike: of intervals that take all arms as alike, without a guard against a wild one.
    """

    covered: float
    false_alarms: float
    power: float
    power_alone: float
    power_alike: float
    alarms_alike: float


def drawn(world: World, gain: float, rng: np.random.Generator) -> np.ndarray:
    """Figures of ``(arms, seeds, images)``, nats."""
    images = rng.normal(-95, 15, world.images) + rng.normal(0, world.image_noise, (world.arms, 1, world.images))
    spread = np.full((world.arms, 1, 1), world.seed_spread)
    spread[world.which] *= world.wild
    values = images + spread * rng.normal(size=(world.arms, world.seeds, 1))
    values[-1] += gain
    return values


def intervals(values: np.ndarray) -> list[Interval]:
    """The difference of each arm to the first."""
    found, others = pool(values.mean(-1)), range(1, len(values))
    shared = [None if found is None else Shared(found, a, 0) for a in others]
    return [difference(values[a], values[0], 0.95, len(others), s) for a, s in zip(others, shared, strict=True)]


def shown_if_alike(values: np.ndarray) -> np.ndarray:
    """Which arms would be shown to differ from the first by the mean square of the whole grid, ``(arms - 1,)``."""
    arms, seeds, images = values.shape
    differences = (values[1:] - values[0]).mean(1)
    of_images = differences.var(-1, ddof=1) / images
    of_seeds = 2 * spreads(values.mean(-1)).variance / seeds
    critical = Claim(arms, seeds, arms - 1).bonferroni()
    return np.abs(differences.mean(-1)) > critical * np.sqrt(of_seeds + of_images)


def compared(world: World, times: int, rng: np.random.Generator) -> Claims:
    """Simulate so many grids with a gain of the last arm."""
    counts = np.zeros(len(Claims._fields))
    for _ in range(times):
        values = drawn(world, world.gain, rng)
        found, alike = intervals(values), shown_if_alike(values)
        truth = [0.0] * (world.arms - 2) + [world.gain]
        counts += Claims(
            covered=all(f.low <= t <= f.high for f, t in zip(found, truth, strict=True)),
            false_alarms=any(f.verdict != "no difference shown" for f in found[:-1]),
            power=found[-1].verdict == "higher",
            power_alone=difference(values[-1], values[0], comparisons=world.arms - 1).verdict == "higher",
            power_alike=alike[-1],
            alarms_alike=alike[:-1].any(),
        )
    return Claims(*(counts / times))


def share(value: float, times: int) -> str:
    """A share of grids with its standard error."""
    return f"{value:.3f} ± {(value * (1 - value) / times) ** 0.5:.3f}"


def in_words(found: dict[str, Claims], times: int, most: dict[int, float]) -> str:
    """What the table says of the claim of 95 %.

    Args:
        most: of each number of arms, the most power that a test can have.
    """
    noise = 2 * (0.95 * 0.05 / times) ** 0.5
    worst = max(found, key=lambda name: found[name].false_alarms)
    least = min(found, key=lambda name: found[name].covered)
    broken = [name for name, claims in found.items() if claims.covered + noise < 0.95]
    verdict = f"is not held by {', '.join(broken)}" if broken else "holds in every row, within two standard errors"

    listed = ", ".join(f"{power:.3f} ({arms} arms)" for arms, power in most.items())

    def span(figure: str) -> str:
        values = [getattr(claims, figure) for claims in found.values()]
        return f"{min(values):.2f} to {max(values):.2f}"

    return (
        f"The claim of 95 % {verdict}: the lowest coverage is {share(found[least].covered, times)} ({least}), the"
        f" highest share with a false difference {share(found[worst].false_alarms, times)} ({worst}). A nat is shown"
        f" with a power of {span('power')}, where pairs by themselves have {span('power_alone')}. Were all arms taken"
        f" as alike, it would be {span('power_alike')}, but a false difference would be shown in"
        f" {span('alarms_alike')} of the grids: the difference in power is the price of a claim that a wild arm leaves"
        " standing. No test that errs in at most 5 % of the grids, whichever of two arms is wild, shows 1 nat between"
        f" arms that are alike with more power than {listed}, even if the images had no noise and the difference sought"
        " were known (benchmarks/best_power.py)."
    )


def made(world: World, times: int, out: Path) -> Claims:
    """The claims of a world, kept in a file of its own."""
    path = out / f"{'-'.join(f'{value:g}' for value in world)}-{times}.json"
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(compared(world, times, np.random.default_rng(0))._asdict()))
    return Claims(**json.loads(read_text(path)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=500, help="simulated grids of each row")
    parser.add_argument("--arms", type=int, nargs="+", default=[4, 13])
    parser.add_argument("--out", type=Path, default=Path("runs/comparisons"), help="where rows are kept")
    options = parser.parse_args()
    times, found = options.times, {}
    for arms in options.arms:
        kinds = {"": (1.0, 1), ", one with 4 times the spread": (4.0, 1), ", the baseline with 4 times": (4.0, 0)}
        for words, (wild, which) in kinds.items():
            name = f"{arms} arms{words}"
            found[name] = made(World(arms, SEEDS, SEED_SPREAD, 0.6, 100, GAIN, wild, which), times, options.out)
            print(f"{name}:", *(share(value, times) for value in found[name]), flush=True)
    rows = [[name, *(share(value, times) for value in claims)] for name, claims in found.items()]
    columns = ["grid", "all intervals cover", "a null difference shown", "power at 1 nat", "power, each pair by itself"]
    columns += ["power, all taken as alike", "a null difference shown, all taken as alike"]
    write_section(
        "comparisons",
        "What the statistics of compare claim",
        f"`python -m benchmarks.comparisons --times {times} --arms {' '.join(map(str, options.arms))}` on"
        f" {machine()}.\n\n"
        f"{times} simulated grids a row: three seeds, a run's mean with a standard deviation of 0.2 nats, an arm's own"
        " effect on an image with 0.6, 100 images, intervals of 95 % that hold together; the last arm is 1 nat better"
        " than the baseline and the others are as good. Shares of grids, ± their standard error.\n\n"
        + table(columns, rows)
        + "\n\n"
        + in_words(found, times, {arms: most_power(arms, SEEDS, GAIN / SEED_SPREAD) for arms in options.arms}),
    )


if __name__ == "__main__":
    main()
