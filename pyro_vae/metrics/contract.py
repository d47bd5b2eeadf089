"""What a metric must be: what is wrong with its declaration, or with what it has found, in words."""

import inspect
import json
from dataclasses import MISSING, fields
from math import isnan
from typing import Any, get_args

from pyro_vae.estimators import Estimate
from pyro_vae.metrics.base import Better, Compared, Finding, Metric, Source
from pyro_vae.metrics.options import Options


def faults(one: Any) -> str:
    """What is wrong with the declaration of a metric, in words that follow its name; empty where nothing is."""
    if not (isinstance(one, type) and issubclass(one, Metric)):
        return "is no Metric: write a subclass of pyro_vae.metrics.Metric"
    if inspect.isabstract(one):
        return "has no method measure(self, task)"
    if not isinstance(getattr(one, "name", None), str) or not one.name.isidentifier():
        return "has no name: letters, digits and underscores, such as name = 'my_metric'"
    annotated = {name for name, kind in vars(one).get("__annotations__", {}).items() if "ClassVar" not in str(kind)}
    if not isinstance(one.compared, tuple):
        return "compares no tuple of Compared(estimate, title, better)"
    if own := sorted(annotated - set(one.own_options())):
        return f"has options ({', '.join(own)}) without @dataclass(frozen=True) above it"
    if open_ := [f.name for f in fields(one) if f.default is MISSING and f.default_factory is MISSING]:
        return f"has options without a default: {', '.join(open_)}"
    if one.name in Options.__dataclass_fields__ and one.own_options():
        return f"has options beneath {one.name!r}, which is an option of evaluate: choose another name"
    if not one.on or not set(one.on) <= set(get_args(Source)):
        return f"is measured on {one.on}: choose among {', '.join(get_args(Source))}"
    if one.piece is not None and "simulated" in one.on:
        return "draws its images in one piece: piece must be None"
    if one.against and "test" not in one.on:
        return "tells other images from test images, so it is measured on 'test' too"
    for shown in one.compared:
        if not isinstance(shown, Compared):
            return f"compares {shown!r}, which is no Compared(estimate, title, better)"
        if not shown.title:
            return f"compares {shown.estimate!r} without a title"
        if not shown.unit:
            return f"compares {shown.estimate!r} without a unit"
        if shown.better not in get_args(Better):
            return f"compares {shown.estimate!r} with better = {shown.better!r}: choose {', '.join(get_args(Better))}"
    return ""


def faults_found(metric: Metric, found: Any, images: int) -> str:
    """What is wrong with what a metric has found, in words that follow its name; empty where nothing is.

    Args:
        images: how many it was given.
    """
    if not isinstance(found, Finding):
        return f"gives a {type(found).__name__}, not a Finding"
    if not found.estimates:
        return "gives no estimate"
    for name, one in found.estimates.items():
        if not isinstance(name, str) or not name.isidentifier():
            return f"names an estimate {name!r}: letters, digits and underscores"
        if not isinstance(one, Estimate):
            return f"gives a {type(one).__name__} for {name}, not an Estimate"
        if wrong := _faults_of(one, metric, images):
            return f"gives an estimate {name} {wrong}"
    for shown in metric.compared:
        if shown.estimate in found.estimates and (unit := found.estimates[shown.estimate].unit) != shown.unit:
            return f"gives {shown.estimate} in {unit}, and its declaration says {shown.unit}"
    for name in [*(one.estimate for one in metric.compared), *([metric.name] if metric.against else [])]:
        if name not in found.estimates:
            return f"gives no estimate {name}, which its declaration names"
        if found.estimates[name].per_image is None:
            return f"gives an estimate {name} without a value for each image (per_image), which comparisons need"
    return ""


def _faults_of(one: Estimate, metric: Metric, images: int) -> str:
    if not isinstance(one.value, int | float):
        return f"whose value is a {type(one.value).__name__}, not a number"
    if not one.estimator:
        return "that does not say how it was obtained (estimator)"
    if one.per_image is not None and one.per_image.shape != (one.images,):
        return f"of {one.images} images with values of shape {tuple(one.per_image.shape)}"
    if metric.piece is not None and one.per_image is None:
        return "without a value for each image (per_image), which a metric with a piece needs"
    if "simulated" not in metric.on and one.images > images:
        return f"of {one.images} images, and there are {images}"
    if one.standard_error is not None and (isnan(one.standard_error) or one.standard_error < 0) and one.images > 1:
        return f"with the standard error {one.standard_error}"
    try:
        json.dumps(one.to_dict())
    except TypeError as error:
        return f"that JSON cannot write: {error}"
    return ""
