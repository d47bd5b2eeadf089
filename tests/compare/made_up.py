"""Results of runs that were never trained: test ELBOs, log p(x) and gaps of a known truth."""

from pathlib import Path

import numpy as np

from pyro_vae.compare.analysis import ArmReport
from pyro_vae.compare.grid import Trial
from pyro_vae.compare.results import Cost, Result
from pyro_vae.compare.statistics import interval


def result(arm, seed, elbo, gap=None):
    """A run with these ELBOs ``(images,)``, and the two parts of its gap on the first of them, ``(2, some)``."""
    per_image = {"elbo": np.asarray(elbo, dtype=float)}
    if gap is not None:
        family, encoder = np.asarray(gap, dtype=float)
        per_image |= {"approximation_gap": family, "amortization_gap": encoder, "inference_gap": family + encoder}
    metrics = {"core_seconds": 36.0, "seconds": 80.0, "environment": {"cuda": False}, "evaluation": {"test": {}}}
    return Result(Trial(arm, seed, Path(f"{arm}-seed{seed}"), "", "cpu"), per_image, metrics)


def report(arm, elbos, gaps=None):
    """An arm's report from ELBOs ``(seeds, images)`` and gaps ``(seeds, 2, some)``."""
    results = {
        seed: result(arm, seed, values, None if gaps is None else gaps[seed]) for seed, values in enumerate(elbos)
    }
    figures = {}
    for name in next(iter(results.values())).per_image:
        figures[name] = interval(np.stack([r.per_image[name] for r in results.values()]), resamples=99)
    return ArmReport(arm, results, figures, {}, {}, Cost(80.0, 0.01, "core-hour", 10, 20))


def arms(rng, means, seeds=3, images=60, seed_spread=0.1, noise=0.5):
    """Reports of arms with these true mean ELBOs, nats per image."""
    common = rng.normal(-95.0, 15.0, images)
    return {
        arm: report(arm, common + mean + rng.normal(0, seed_spread, (seeds, 1)) + rng.normal(0, noise, (seeds, images)))
        for arm, mean in means.items()
    }
