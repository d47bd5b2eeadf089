"""One run is measured: on its test images, on training images, on simulated ones and on those of another data set."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from pyro_vae.build import binarizer_of
from pyro_vae.config import Config
from pyro_vae.data import Binarizer, DataSet, Images, InMemory, is_array_file, load_data
from pyro_vae.data.fingerprint import check_same
from pyro_vae.drawing import Drawing
from pyro_vae.errors import InputError
from pyro_vae.estimators import told_apart
from pyro_vae.evaluate.bench import Bench
from pyro_vae.evaluate.ledger import Entry, Ledger
from pyro_vae.evaluate.report import Findings, Line
from pyro_vae.metrics import Metric, Options, all_metrics
from pyro_vae.runs import Run
from pyro_vae.terminal import on_stderr


@dataclass(frozen=True)
class Request:
    """What is asked of every run.

    Attributes:
        options: how metrics are estimated, complete (:func:`complete`).
        metrics: those to measure, by name, in the order of the table.
        train: the metrics of training images too.
        against: another data set or file.
        data_root: where the data sets are; None for where they were when the run was trained.
        given: data in memory, of runs that were trained on such.
    """

    options: Options
    metrics: Mapping[str, Metric]
    train: bool
    against: str | None
    data_root: Path | None
    device: torch.device
    given: InMemory | None = None

    @property
    def table(self) -> dict[str, Metric]:
        """Every metric by name, because some need others that were not asked for; these have their default options."""
        return {**{name: one() for name, one in all_metrics().items()}, **self.metrics}

    def on(self, source: str) -> list[str]:
        """The names of the metrics that are measured on a source of images."""
        return [name for name, metric in self.metrics.items() if source in metric.on]


def measure_run(run: Run, which: str, request: Request, watch: Line) -> Findings:
    """Measure one run, write its ``metrics.json`` and its pictures.

    Args:
        which: its checkpoint, "best" or "last".
    """
    config, options = run.config, request.options
    root = request.data_root or config.data_root
    say = None if watch.console.quiet else on_stderr
    data = load_data(
        config.data,
        root,
        config.validation,
        config.layout,
        say,
        request.given,
        image_size=config.size,
        missing=config.takes_missing,
    )
    check_same(data, run.data, run.folder.path)
    others = None if request.against is None else _others(request.against, root, data, config)
    binarizer = binarizer_of(config, run.model)
    ledger, table = Ledger(run.folder), request.table
    ledger.clean()
    context = {"checkpoint": which, "weights": run.weights, "seed": options.seed}

    nothing = torch.empty(1, 1, device=request.device)
    simulated = Bench(run, ledger, table, options, "simulated", nothing, context, watch)
    known = ledger.entry("simulated", "certificate", simulated.settings("certificate"))
    options = as_certified(options, simulated.measure("certificate") if "certificate" in request.metrics else known)

    def bench(source: str, name: str, images: Images, options: Options = options) -> Bench:
        x = _first(images, options.images, binarizer).to(request.device)
        about = {**context, "data": name, "binarised": binarizer.binary}
        return Bench(run, ledger, table, options, source, x, about, watch)

    test = bench("test", config.data, data.test)
    found: Findings = {"test": {name: test.measure(name) for name in request.on("test")}}
    if request.train:
        on_train = bench("train", config.data, data.train, replace(options, images=options.gap_images))
        found["train"] = {name: on_train.measure(name) for name in request.on("train")}
    found["simulated"] = {name: simulated.measure(name) for name in request.on("simulated")}
    if others is not None:
        source = f"against {Path(others.name).stem}"
        found[source] = _against(test, bench(source, others.name, others.test), ledger, data.name)
    _draw_splits(run, found, request.metrics)
    return found


def as_certified(options: Options, certificate: Entry | None) -> Options:
    """Options with the temperatures of the certificate, if there is one."""
    if certificate is None or certificate.not_defined is not None:
        return options
    temperatures = round(certificate.estimates["certified_temperatures"].value)
    annealing = replace(options.evidence.annealing, temperatures=temperatures)
    return replace(options, evidence=replace(options.evidence, annealing=annealing))


def complete(options: Options, device: torch.device) -> Options:
    """Options with the numbers of images that suit the device, where they were left open.

    Raises:
        InputError: if they are no options, but a dictionary, say.
    """
    if not isinstance(options, Options):
        raise InputError("options are an object: pyro_vae.metrics.Options(elbo_samples=500), say")
    large = device.type == "cuda"
    images = options.images if options.images is not None else (sys.maxsize if large else 1000)
    gap, evidence = options.gap_images, options.evidence_images
    if gap is None:
        gap = min(1000 if large else 50, sys.maxsize if evidence is None else evidence)
    if evidence is None:
        evidence = images if large else 100
    # the gap needs log p(x) of its images
    return replace(options, images=images, gap_images=min(images, gap), evidence_images=min(images, max(evidence, gap)))


def _first(images: Images, count: int | None, binarizer: Binarizer) -> Tensor:
    """The first images of a split, in the draw of the binarisation that all runs share."""
    count = len(images) if count is None else min(count, len(images))
    return next(binarizer.held_out(images, count))


def _others(name: str, root: Path | None, data: DataSet, config: Config) -> DataSet:
    layout, size = config.layout if is_array_file(name) else "auto", config.size if Path(name).is_dir() else None
    others = load_data(name, root, layout=layout, image_size=size)
    if others.image_shape != data.image_shape:
        raise InputError(
            f"--against {name} has images of shape {others.image_shape}, and the run was trained on {data.image_shape}"
        )
    if not (data.low <= others.low and others.high <= data.high):
        raise InputError(
            f"--against {name} has pixels from {others.low:g} to {others.high:g}, and the run's own data"
            f" from {data.low:g} to {data.high:g}: scale them alike"
        )
    return others


def _against(own: Bench, other: Bench, ledger: Ledger, name: str) -> dict[str, Entry]:
    """Scores of the other images, and how well each tells them from the run's own test images."""
    from pyro_vae.evaluate.pictures import against_picture
    from pyro_vae.pictures import save_figure

    found, scores = {}, {}
    for key, metric in other.table.items():
        if not metric.against:
            continue
        found[key] = other.measure(key)
        inside, outside = own.per_image(key, key), other.per_image(key, key)
        if inside is None or outside is None:
            continue
        scores[metric.against] = {f"{name}, test": inside.numpy(), other.source: outside.numpy()}
        apart = f"told_apart_by_{key}"
        settings = {"own": own.settings(key), "other": other.settings(key)}
        found[apart] = Entry(settings, 0.0, {apart: told_apart(inside, outside)}, None)
        ledger.finish(other.source, apart, found[apart])
    if scores:
        with Drawing():
            save_figure(own.run.folder, other.source.replace(" ", "-"), against_picture(scores))
    return found


def _draw_splits(run: Run, found: Findings, metrics: Mapping[str, Metric]) -> None:
    for name, metric in metrics.items():
        splits = {
            source: entries[name].estimates
            for source, entries in found.items()
            if name in entries and entries[name].not_defined is None
        }
        if metric.picture_name and splits and (figure := metric.picture_of_splits(splits)):
            from pyro_vae.pictures import save_figure

            with Drawing():
                save_figure(run.folder, metric.picture_name, figure)
