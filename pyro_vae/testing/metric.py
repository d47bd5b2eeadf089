"""``check_metric``: whether a metric keeps its contract."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from guides import MeanField, MLPEncoder
from pyro_vae.command_line import headline
from pyro_vae.config import Config
from pyro_vae.estimators import Annealing, Estimate, Evidence, GaussianFit, LocalOptimization, NotDefined, Search
from pyro_vae.metrics import Finding, Metric, Options, Task, all_metrics
from pyro_vae.metrics.contract import faults, faults_found
from pyro_vae.models import VAE, Bernoulli, MLPDecoder, StandardNormal
from pyro_vae.runs import Run, RunFolder
from pyro_vae.seeds import forked
from pyro_vae.testing.context import looking_at, name_of, require

SHAPE, IMAGES = (1, 3, 3), 6
#: few images and draws
QUICK = Options(
    *(IMAGES, IMAGES, IMAGES),
    elbo_samples=5,
    iwae_samples=10,
    importance_samples=50,
    best_samples=10,
    evidence=Evidence(Annealing(4, 2, 2, 0.9, 2), Search(4, 1, 5), GaussianFit(5, 4)),
    certificate_images=4,
    most_temperatures=4,
    annealing=Annealing(2, 10, 2),
    local=LocalOptimization(4, 1e-2, 5, 2, 20),
    calibration_images=80,
    bracket_images=4,
    aggregate_images=IMAGES,
    gradient_images=IMAGES,
    gradient_repeats=6,
)


def check_metric(metric_class: Callable[..., Metric], *, seed: int = 0, **options: Any) -> None:
    """Raise an error that says what is wrong with a metric; return None if nothing is.

    It is measured on six small images of a model and a guide that are not trained. Checked: its declaration; that
    ``settings`` are what JSON has, and hold all its options; the estimates, with a value for each image where pieces or
    comparisons need it; that the same seed gives the same numbers whatever was drawn before, and that model, guide and
    images are left as they were; that an estimate survives ``metrics.json``; its picture and its sentences.

    Args:
        metric_class: a subclass of :class:`~pyro_vae.metrics.Metric`, made by ``metric_class(**options)``.
        seed: of the model, the images and the draws.
        options: the metric's own.

    Raises:
        AssertionError: if the metric breaks the contract.

    Example:
        >>> from pyro_vae.metrics.elbo import Elbo
        >>> check_metric(Elbo)
    """
    wrong = faults(metric_class)
    require(not wrong, f"{name_of(metric_class)} {wrong}")
    with looking_at(name_of(metric_class)), forked():
        metric = metric_class(**options)
        _check_declaration(metric)
        torch.manual_seed(seed)
        run = _run()
        x = torch.empty(1, 1) if "simulated" in metric.on else torch.rand(IMAGES, *SHAPE).bernoulli()
        before = [*run.model.state_dict().values(), *run.guide.state_dict().values(), x]
        before = [value.clone() for value in before]
        found = _measured(metric, run, x, seed)
        wrong = faults_found(metric, found, len(x))
        require(not wrong, f"it {wrong}")
        after = [*run.model.state_dict().values(), *run.guide.state_dict().values(), x]
        require(all(map(torch.equal, before, after)), "it changes the model, the guide or the images")
        torch.rand(7)
        again = _measured(metric, run, x, seed)
        for name, one in found.estimates.items():
            _check_estimate(name, one, again)
        _check_shown(metric, found)


def _check_declaration(metric: Metric) -> None:
    require(bool(headline(type(metric))), "its docstring says nothing: its first sentence is its line in --help")
    unknown = sorted(set(metric.needs) - all_metrics().keys())
    require(not unknown, f"it needs {', '.join(unknown)}, which is no metric")
    late = [name for name in metric.needs if all_metrics()[name].place >= metric.place]
    require(not late, f"it needs {', '.join(late)}, so its place must be after theirs")
    strange = [name for name in metric.cheap if name.partition(".")[0] not in {*vars(QUICK), metric.name}]
    require(not strange, f"cheap names {', '.join(strange)}, which is no option of evaluate")
    settings = metric.settings(QUICK)
    try:
        same = json.loads(json.dumps(settings)) == settings
    except TypeError as error:
        raise AssertionError(f"settings cannot be written as JSON: {error}") from error
    require(same, "settings are not the same after JSON: use lists, not tuples, and text for keys")
    for name in metric.own_options():
        require(name in settings, f"settings do not hold its option {name}: it would not be measured again")
    images = metric.images(QUICK)
    require(images is None or images >= 1, f"images() gives {images}")


def _run() -> Run:
    model = VAE(MLPDecoder(2, SHAPE, [4]), Bernoulli(SHAPE), StandardNormal(2))
    guide = MeanField(MLPEncoder(SHAPE, [4]), 2)
    return Run(model.eval(), guide.eval(), Config(latent_dim=2), RunFolder(Path("a-run")), "0", None)


def _measured(metric: Metric, run: Run, x: Tensor, seed: int) -> Finding:
    def earlier(name: str, estimate: str) -> Tensor:
        require(name in metric.needs, f"it asks for the earlier {name}, which is not in its needs")
        found = _measured(all_metrics()[name](), run, x, seed)
        require(estimate in found.estimates, f"{name} has no estimate {estimate}")
        per_image = found.estimates[estimate].per_image
        if per_image is None:
            raise AssertionError(f"{estimate} of {name} has no value for each image")
        return per_image

    try:
        return metric.measure(Task(run, x, QUICK, seed, lambda done, total: None, earlier))
    except NotDefined as reason:
        raise AssertionError(f"it is not defined for a mean-field guide of a VAE: {reason}") from reason


def _check_estimate(name: str, one: Estimate, again: Finding) -> None:
    other = again.estimates.get(name)
    same = other is not None and (one == other or (one.value != one.value and other.value != other.value))
    require(same, f"{name} differs when it is measured again with the same seed: draw with task.seed")
    require(one.samples >= 0, f"{name} has {one.samples} samples")
    require(bool(one.unit), f"{name} has no unit")
    kept = Estimate.from_dict(json.loads(json.dumps(one.to_dict())))
    require(kept == one or one.value != one.value, f"{name} is another after it was written to metrics.json")


def _check_shown(metric: Metric, found: Finding) -> None:
    pictures = [metric.picture(found), metric.picture_of_splits({"test": found.estimates})]
    drawn = [picture for picture in pictures if picture is not None]
    require(bool(drawn) == bool(metric.picture_name), "it has a picture without a picture_name, or the other way round")
    require(len(drawn) < 2, "it has two pictures of one name")
    said = metric.sentences(found.estimates)
    require(isinstance(said, list) and all(line.endswith(".") for line in said), "its sentences are no list of such")
