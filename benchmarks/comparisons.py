"""What the statistics of ``compare`` claim of simulated grids: coverage, family-wise error and power.

python -m benchmarks.comparisons [--times 500]
"""

import argparse
from typing import NamedTuple

import numpy as np

from benchmarks.results import machine, table, write_section
from pyro_vae.compare.pooling import pool
from pyro_vae.compare.statistics import Interval, Shared, difference


class World(NamedTuple):
    """A simulated grid whose arm 0 is the baseline.

    Attributes:
        seed_spread: the standard deviation of a run's mean, nats.
        image_noise: that of an arm's own effect on an image, nats.
        gain: of the last arm in power's half of the simulation.
        wild: how many times the spread of the others that of arm 1 is.
    """

    arms: int
    seeds: int
    seed_spread: float
    image_noise: float
    images: int
    gain: float
    wild: float = 1.0


class Claims(NamedTuple):
    """Shares of grids: all intervals cover, some null difference is shown, the gain is shown, pooled and not."""

    covered: float
    false_alarms: float
    power: float
    power_unpooled: float


def drawn(world: World, gain: float, rng: np.random.Generator) -> np.ndarray:
    """Figures of ``(arms, seeds, images)``, nats."""
    images = rng.normal(-95, 15, world.images) + rng.normal(0, world.image_noise, (world.arms, 1, world.images))
    spread = np.full((world.arms, 1, 1), world.seed_spread)
    spread[1] *= world.wild
    values = images + spread * rng.normal(size=(world.arms, world.seeds, 1))
    values[-1] += gain
    return values


def intervals(values: np.ndarray, pooled: bool = True) -> list[Interval]:
    """The difference of each arm to the first."""
    found = pool(values.mean(-1)) if pooled else None
    if found is not None and not found.kept[0]:
        found = None
    shared = None if found is None else Shared(found, int(found.kept.sum()) - 1)
    return [
        difference(
            values[a], values[0], comparisons=len(values) - 1, shared=shared if found and found.kept[a] else None
        )
        for a in range(1, len(values))
    ]


def compared(world: World, times: int, rng: np.random.Generator) -> Claims:
    """Simulate so many grids with a gain of the last arm."""
    covered = alarms = shown = before = 0
    for _ in range(times):
        values = drawn(world, world.gain, rng)
        found = intervals(values)
        truth = [0.0] * (world.arms - 2) + [world.gain]
        covered += all(f.low <= t <= f.high for f, t in zip(found, truth, strict=True))
        alarms += any(f.verdict != "no difference shown" for f in found[:-1])
        shown += found[-1].verdict == "higher"
        before += intervals(values[[0, *range(1, world.arms)]], pooled=False)[-1].verdict == "higher"
    return Claims(covered / times, alarms / times, shown / times, before / times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=500)
    times = parser.parse_args().times
    rows = []
    for arms in (4, 13):
        for wild in (1.0, 4.0):
            world = World(arms, 3, 0.2, 0.6, 100, 1.0, wild)
            found = compared(world, times, np.random.default_rng(0))
            rows.append(
                [f"{arms} arms" + (", one with 4 times the spread" if wild > 1 else ""), *map("{:.3f}".format, found)]
            )
            print(" | ".join(rows[-1]), flush=True)
    columns = ["grid", "all intervals cover", "a null difference shown", "power at 1 nat", "power, each pair by itself"]
    write_section(
        "comparisons",
        "What the statistics of compare claim",
        f"`python -m benchmarks.comparisons --times {times}` on {machine()}.\n\n"
        f"{times} simulated grids a row: three seeds, a run's mean with a standard deviation of 0.2 nats, an arm's own"
        " effect on an image with 0.6, 100 images, intervals of 95 % that hold together; the last arm is 1 nat better"
        " than the baseline and the others are as good. Shares of grids.\n\n" + table(columns, rows),
    )


if __name__ == "__main__":
    main()
