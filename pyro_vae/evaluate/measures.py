"""What ``evaluate`` measures: each measure's name, its settings, and the estimators of :mod:`pyro_vae.estimators`."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyro_vae.estimators import (
    active_units,
    aggregate_posterior,
    ais,
    anneal,
    bounds_at,
    bracket,
    calibration,
    certify,
    elbo,
    gradient_quality,
    importance,
    iwae,
    kl_of_dimensions,
    mmd,
    optimize_posterior,
    simulate,
    split_gap,
)
from pyro_vae.estimators.estimate import Estimate
from pyro_vae.estimators.sampling import Progress, require
from pyro_vae.evaluate.ledger import Finding
from pyro_vae.evaluate.options import Options
from pyro_vae.runs import Run
from pyro_vae.seeds import seeded

FIFTH = 5  #: how many times the temperatures, and on which part of the images, log p(x) is estimated again


class Task(NamedTuple):
    """One piece of a measure.

    Attributes:
        x: the images of this piece.
        seed: of its draws.
        earlier: the figure of each of these images that an earlier measure found, ``(len(x),)``, or None.
    """

    run: Run
    x: Tensor
    options: Options
    seed: int
    progress: Progress
    earlier: Callable[[str, str], Tensor | None]


@dataclass(frozen=True)
class Measure:
    """One measure.

    Attributes:
        work: makes a piece of it.
        settings: what its figures depend on besides run and images.
        images: how many images it takes of those there are.
        piece: images after which what was found is saved; None where the images cannot be taken apart.
        needs: measures whose figures it builds upon.
    """

    work: Callable[[Task], Finding]
    settings: Callable[[Options], dict[str, Any]]
    images: Callable[[Options], int | None]
    piece: int | None = None
    needs: tuple[str, ...] = ()


def _elbo(task: Task) -> Finding:
    found = elbo(
        task.run.model, task.run.guide, task.x, task.options.elbo_samples, seed=task.seed, progress=task.progress
    )
    return Finding(found._asdict(), {})


def _iwae(task: Task) -> Finding:
    found = iwae(
        task.run.model, task.run.guide, task.x, task.options.iwae_samples, seed=task.seed, progress=task.progress
    )
    return Finding({"iwae": found}, {})


def _importance(task: Task) -> Finding:
    samples = task.options.importance_samples
    found = importance(task.run.model, task.run.guide, task.x, samples, seed=task.seed, progress=task.progress)
    return Finding(found._asdict(), {})


def _evidence(task: Task) -> Finding:
    run, settings, every = task.run, task.options.evidence, slice(None, None, FIFTH)
    found = anneal(run.model, run.guide, task.x, None, settings, task.seed, task.progress)
    longer = replace(settings.annealing, temperatures=FIFTH * settings.annealing.temperatures)
    other = anneal(run.model, run.guide, task.x[every], None, replace(settings, annealing=longer), task.seed + 1)
    before, after = found.log_evidence.per_image, other.log_evidence.per_image
    assert before is not None
    assert after is not None
    chains = settings.annealing.chains
    change = f"log p(x) at {FIFTH} times the temperatures, minus that above, on each {FIFTH}th image"
    figures = {
        "log_evidence": found.log_evidence,
        "evidence_change": Estimate.over(after - before[every], change, chains),
        "several_modes": Estimate.over(
            (found.modes > 1).double(), "share with a second mode of 1 % or more", chains, unit="share of images"
        ),
        "temperatures": Estimate.over(found.temperatures, "chosen by pilot chains", chains, unit="temperatures"),
        "base_k_hat": Estimate.over(found.k_hat, "PSIS k-hat of the best Gaussian", 200, unit="k-hat"),
    }
    return Finding(figures, {})


def _certificate(task: Task) -> Finding:
    run, options = task.run, task.options
    found = certify(run.model, run.guide, options.evidence, options.demand, task.seed, task.progress)
    settings, n = found.settings.annealing, options.certificate_images
    how = f"mean and two standard errors of the bracket, asked for {found.tolerance:g}"
    words = "met on fresh images" if found.met else f"not met within {options.most_temperatures} temperatures"
    figures = {
        "certified_lower": found.bracket.lower,
        "certified_upper": found.bracket.upper,
        "certified_gap": found.bracket.gap,
        "certified_to": Estimate(found.reached, None, f"{how}: {words}", settings.chains, n, "upper"),
        "certified_temperatures": Estimate(
            settings.temperatures, None, "the fewest of an image", settings.chains, n, unit="temperatures"
        ),
    }
    return Finding(figures, {})


def _ais(task: Task) -> Finding:
    found = ais(task.run.model, task.x, task.options.annealing, seed=task.seed, progress=task.progress)
    return Finding({"ais": found}, {})


def _gap(task: Task) -> Finding:
    model, guide = task.run.model, task.run.guide
    require(guide, "the inference gap")
    amortized, evidence = task.earlier("elbo", "elbo"), task.earlier("evidence", "log_evidence")
    assert amortized is not None
    assert evidence is not None
    best_of = optimize_posterior(model, guide, task.x, task.options.local, task.seed, task.progress)
    best, iwae_best = bounds_at(model, guide, task.x, best_of.lam, task.options.best_samples, seed=task.seed + 1)
    iwae_best = replace(iwae_best, estimator=f"{iwae_best.estimator} at q*")
    elbo_amortized = Estimate.over(amortized, "elbo", task.options.elbo_samples, "lower")
    steps = task.options.local.num_samples
    figures = {
        "elbo_best": best,
        "iwae_best": iwae_best,
        **split_gap(evidence, best, elbo_amortized, evidence="annealed log p(x)")._asdict(),
        "local_steps": Estimate.over(best_of.steps, "Adam on lambda", steps, unit="steps"),
        "settled": Estimate.over(best_of.settled.double(), "share at rest", steps, unit="share of images"),
    }
    return Finding(figures, {})


def _units(task: Task) -> Finding:
    found = active_units(task.run.guide, task.x, task.options.elbo_samples, seed=task.seed, progress=task.progress)
    collapsed = replace(
        found.active, value=float(found.collapsed), standard_error=None, estimator="no active unit", unit="1 or 0"
    )
    figures = {"active_units": found.active, "active_directions": found.directions, "collapsed": collapsed}
    return Finding(figures, {"activity": found.activity})


def _dimensions(task: Task) -> Finding:
    parts = kl_of_dimensions(task.run.model, task.run.guide, task.x)
    values = torch.tensor([part.value for part in parts])
    return Finding({f"kl_{d + 1}": part for d, part in enumerate(parts)}, {"kl": values})


def _aggregate(task: Task) -> Finding:
    run, samples = task.run, task.options.aggregate_samples
    found = aggregate_posterior(run.model, run.guide, task.x, samples, task.seed, task.progress)
    return Finding({name: figure for name, figure in found._asdict().items() if name != "kl"}, {})


def _mmd(task: Task) -> Finding:
    return Finding({"mmd": mmd(task.run.model, task.run.guide, task.x, task.seed)}, {})


def _gradient(task: Task) -> Finding:
    run, options = task.run, task.options
    found = gradient_quality(
        run.model, run.guide, task.x, run.config.objective(), options.gradient_repeats, task.seed, task.progress
    )
    return Finding({f"gradient_{name}": figure for name, figure in found._asdict().items()}, {})


def _calibration(task: Task) -> Finding:
    run, n = task.run, task.options.calibration_images
    found = calibration(run.model, run.guide, n, seed=task.seed, progress=task.progress)
    how = "chi-squared test of uniform ranks, Bonferroni; necessary only: q(z|x) = p(z) passes too"
    p_value = Estimate(found.p_value, None, how, found.num_samples, n, unit="p-value")
    return Finding({"calibration": p_value}, {"ranks": found.ranks})


def _bracket(task: Task) -> Finding:
    run = task.run
    with seeded(task.seed):
        x, z = simulate(run.model, task.options.bracket_images)
    found = bracket(run.model, x, z, task.options.annealing, seed=task.seed, progress=task.progress)
    return Finding({f"bracket_{name}": figure for name, figure in found._asdict().items()}, {})


def _none(options: Options) -> dict[str, Any]:
    return {}


#: on images of the data set; the order is that of the table, cheap ones first, and needs before what needs them
MEASURES: dict[str, Measure] = {
    "elbo": Measure(_elbo, lambda o: {"samples": o.elbo_samples}, lambda o: o.images, 500),
    "iwae": Measure(_iwae, lambda o: {"samples": o.iwae_samples}, lambda o: o.images, 100),
    "importance": Measure(_importance, lambda o: {"samples": o.importance_samples}, lambda o: o.images, 100),
    "units": Measure(_units, lambda o: {"samples": o.elbo_samples}, lambda o: o.images),
    "dimensions": Measure(_dimensions, _none, lambda o: o.images),
    "aggregate": Measure(_aggregate, lambda o: {"samples": o.aggregate_samples}, lambda o: o.aggregate_images),
    "mmd": Measure(_mmd, _none, lambda o: o.aggregate_images),
    "gradient": Measure(_gradient, lambda o: {"repeats": o.gradient_repeats}, lambda o: o.gradient_images),
    "evidence": Measure(_evidence, lambda o: asdict(o.evidence), lambda o: o.evidence_images, 25),
    "ais": Measure(_ais, lambda o: asdict(o.annealing), lambda o: o.gap_images, 25),
    "gap": Measure(
        _gap,
        lambda o: {**asdict(o.local), "best_samples": o.best_samples, "log_p": "annealed"},
        lambda o: o.gap_images,
        25,
        needs=("elbo", "evidence"),
    ),
}
#: on images that the model draws
SIMULATED: dict[str, Measure] = {
    "certificate": Measure(_certificate, lambda o: {**asdict(o.evidence), **asdict(o.demand)}, lambda o: 1),
    "calibration": Measure(_calibration, lambda o: {"images": o.calibration_images}, lambda o: 1),
    "bracket": Measure(_bracket, lambda o: {**asdict(o.annealing), "images": o.bracket_images}, lambda o: 1),
}
EXTRA = ("ais", "bracket")  #: only where they are asked for: annealing from the prior is far less exact
ON_TRAIN = ("elbo", "iwae", "evidence", "ais", "gap")  #: measured on training images too, to see the encoder generalise
ON_OTHERS = ("elbo", "iwae")  #: measured on the images of ``--against``
